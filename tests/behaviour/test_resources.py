"""What a run takes of the machine: time while there is nothing to do, and memory while a sink is slow."""

import pytest

pytestmark = pytest.mark.slow

# Each program prints one number: what it used of processor time over five seconds, in milliseconds.
IDLE = """
import threading, time
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicInput, PartitionedInput, StatefulSource, StatelessSource
from bytewax.testing import TestingOutput, cluster_main, run_main

end = threading.Event()
started = threading.Event()

class Blocking(StatefulSource):
    def next(self):
        started.set()
        end.wait()
        raise StopIteration
    def snapshot(self):
        return None

class OnePart(PartitionedInput):
    def list_parts(self):
        return {"only"}
    def build_part(self, for_part, resume_state):
        return Blocking()

class Empty(StatelessSource):
    polls = 0
    def next(self):
        Empty.polls += 1
        if Empty.polls > 100:  # its first second, in which it is asked each millisecond, is over soon
            started.set()
        if end.is_set():
            raise StopIteration

class EmptyInput(DynamicInput):
    def build(self, worker_index, worker_count):
        return Empty()

def measure():
    started.wait()
    time.sleep(SETTLE)
    polls, before = Empty.polls, time.process_time()
    time.sleep(5)
    print((time.process_time() - before) * 1000, Empty.polls - polls, flush=True)
    end.set()

flow = Dataflow()
flow.input("inp", INPUT)
flow.map(lambda item: item)
flow.output("out", TestingOutput([]))
threading.Thread(target=measure).start()
RUN
"""


def idle(start, **words):
    """Run it; return the CPU time in ms that 5 s of idleness took, and how often the source was polled."""
    text = IDLE
    for name, value in words.items():
        text = text.replace(name, value)
    code, stdout, stderr = start(text).end()
    assert code == 0, stderr
    used, polls = stdout.split()
    return float(used), int(polls)


def test_idle_workers_beside_one_whose_source_blocks_use_no_time(start):
    used, _ = idle(start, INPUT="OnePart()", RUN="cluster_main(flow, [], 0, worker_count_per_proc=2)", SETTLE="0.2")
    assert used < 2.5


def test_an_empty_source_is_polled_at_most_a_hundred_times_a_second(start):
    # What that costs, some 1 % of a core, is the benchmark's to measure: it depends on the machine and its load.
    _, polls = idle(start, INPUT="EmptyInput()", RUN="run_main(flow)", SETTLE="1.5")
    assert 1 <= polls <= 505


SLOW_SINK = """
import resource, sys, time
from bytewax.dataflow import Dataflow
from bytewax.outputs import PartitionedOutput, StatefulSink
from bytewax.inputs import DynamicInput, StatelessSource
from bytewax.testing import cluster_main

ITEMS, SIZE = 500_000, 1000
written = 0

class Source(StatelessSource):
    def __init__(self):
        self.left = ITEMS
    def next(self):
        if self.left == 0:
            raise StopIteration
        self.left -= 1
        return ("key", bytes(SIZE))  # 500 MB, if they waited anywhere

class FirstWorker(DynamicInput):
    def build(self, worker_index, worker_count):
        source = Source()
        if worker_index == SOURCE_WORKER:
            return source
        source.left = 0
        return source

class SlowSink(StatefulSink):
    def write(self, value):
        global written
        written += 1
        for _ in range(WORK):
            pass
    def snapshot(self):
        return None

class Part(PartitionedOutput):
    def __init__(self, name):
        self.name = name
    def list_parts(self):
        return {self.name}
    def assign_part(self, item_key):
        return self.name
    def build_part(self, for_part, resume_state):
        return SlowSink()

def run(items, name):
    global ITEMS, written
    ITEMS, written = items, 0
    flow = Dataflow()
    flow.input("inp", FirstWorker())
    flow.output("out", Part(name))
    cluster_main(flow, [], 0, worker_count_per_proc=2)
    assert written == items, written

run(1000, "a")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run(500_000, "a")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("source_worker", [0, 1])  # the sink is on one of them, the source on each once
def test_memory_stays_flat_while_a_sink_on_another_worker_is_slow(start, source_worker):
    text = SLOW_SINK.replace("SOURCE_WORKER", str(source_worker)).replace("WORK", "200")
    code, stdout, stderr = start(text).end()
    assert code == 0, stderr
    # A window of 2 x 16,384 items of 1 kB, and what allocators keep: not the 500 MB of all items.
    assert int(stdout) < 60_000
