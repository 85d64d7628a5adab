"""SIGINT and SIGTERM, sent to real processes."""

import signal
import time

import pytest

PRELUDE = """
import sys, time, threading
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicInput, PartitionedInput, StatefulSource, StatelessSource, EmptySource
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main

class Endless(StatelessSource):
    def next(self):
        return None

class EndlessInput(DynamicInput):
    def build(self, worker_index, worker_count):
        return Endless()

def busy(item):
    print("ready", flush=True)
    while True:
        pass

def sleeping(item):
    print("ready", flush=True)
    time.sleep(600)

def ready(item):
    print("ready", flush=True)

flow = Dataflow()
"""

# What the worker does when the signal comes: the steps of its flow.
DOING = {
    "running Python": 'flow.input("inp", TestingInput([1])); flow.map(busy)',
    "sleeping in a function": 'flow.input("inp", TestingInput([1])); flow.map(sleeping)',
    "asking an idle source": (
        'flow.input("one", TestingInput([1])); flow.map(ready); flow.input("idle", EndlessInput())'
    ),
    "in a long batch": (
        'flow.input("inp", TestingInput(range(10**12))); flow.inspect(lambda item: item == 5 and ready(item));'
        "flow.filter(lambda item: False)"
    ),
    "in an iterator": (
        'flow.input("inp", TestingInput([1])); flow.inspect(ready);'
        "flow.flat_map(lambda item: iter(int, 1)); flow.filter(lambda item: False)"
    ),
    "in a keyed step": (
        'flow.input("inp", TestingInput([("a", 1)])); flow.stateful_map("s", int, lambda s, v: busy(v))'
    ),
}
RUN_MAIN = "run_main(flow)"
CLUSTER_MAIN = "cluster_main(flow, [], 0, worker_count_per_proc=2)"


def program(doing, run):
    return f'{PRELUDE}{DOING[doing]}\nflow.output("out", TestingOutput([]))\n{run}\n'


@pytest.mark.parametrize("doing", DOING)
def test_sigint_ends_run_main_and_then_the_process(start, doing):
    running = start(program(doing, RUN_MAIN))
    running.wait_for_line("ready")
    running.send(signal.SIGINT)
    code, _, stderr = running.end()
    assert code == -signal.SIGINT
    assert "KeyboardInterrupt: interrupt signal received, all processes have been shut down" in stderr


@pytest.mark.parametrize("doing", DOING)
def test_sigint_ends_run_main_within_100_ms(start, doing):
    """In the best of a few tries: this machine may be busy."""
    took = []
    while len(took) < 10 and min(took, default=1) > 0.1:
        running = start(program(doing, TIMED))
        running.wait_for_line("ready")
        sent = time.monotonic()  # the clock of all processes
        running.send(signal.SIGINT)
        took.append(float(running.end()[1]) - sent)
    assert min(took) <= 0.1


TIMED = """
try:
    run_main(flow)
except KeyboardInterrupt:
    print(time.monotonic())
"""
CAUGHT = """
try:
    {run}
except KeyboardInterrupt as ex:
    print("caught", ex, flush=True)
    print([thread.name for thread in threading.enumerate() if thread is not threading.main_thread()], flush=True)
"""


@pytest.mark.parametrize("run", [RUN_MAIN, CLUSTER_MAIN], ids=["run_main", "cluster_main"])
@pytest.mark.parametrize("doing", [doing for doing in DOING if doing != "sleeping in a function"])
def test_sigint_can_be_caught_and_leaves_no_thread(start, doing, run):
    running = start(program(doing, CAUGHT.format(run=run)))
    running.wait_for_line("ready")
    running.send(signal.SIGINT)
    code, stdout, stderr = running.end()
    assert stdout.splitlines() == ["caught interrupt signal received, all processes have been shut down", "[]"]
    assert code == 0, stderr


@pytest.mark.parametrize("doing", [doing for doing in DOING if doing != "sleeping in a function"])
def test_sigint_ends_cluster_main(start, doing):
    running = start(program(doing, CLUSTER_MAIN))
    running.wait_for_line("ready")
    running.send(signal.SIGINT)
    code, _, stderr = running.end()
    assert code == -signal.SIGINT
    assert "KeyboardInterrupt: interrupt signal received, all processes have been shut down" in stderr


SLOW_STEP = """
flow.input("inp", TestingInput([("a", 1)]))
flow.stateful_map("slow step", int, lambda state, value: sleeping(value))
flow.output("out", TestingOutput([]))
try:
    cluster_main(flow, [], 0, worker_count_per_proc=2)
except KeyboardInterrupt:
    print("caught", flush=True)
    import os
    os._exit(0)  # else the interpreter waits for the thread
"""


def test_a_sleep_on_a_worker_thread_is_waited_for_and_named_and_a_second_sigint_does_not_wait(start):
    for _ in range(20):
        running = start(PRELUDE + SLOW_STEP)
        running.wait_for_line("ready")
        running.send(signal.SIGINT)
        try:
            running.wait_for_error("slow step")  # comes after a second
            break
        except EOFError:  # the signal came just before the sleep, where a worker can be stopped at once
            assert running.end() == (0, "caught\n", "")
    running.send(signal.SIGINT)
    running.wait_for_line("caught")
    assert running.end()[0] == 0


def test_a_run_after_an_interrupted_one_is_clean(start):
    running = start(
        PRELUDE
        + """
flow.input("one", TestingInput([1]))
flow.map(ready)
flow.input("idle", EndlessInput())
flow.output("out", TestingOutput([]))
for run in (run_main, lambda flow: cluster_main(flow, [], 0, worker_count_per_proc=2)):
    try:
        run(flow)
    except KeyboardInterrupt:
        out = []
        again = Dataflow()
        again.input("inp", TestingInput(range(3)))
        again.output("out", TestingOutput(out))
        run(again)
        print(sorted(out), flush=True)
try:
    print("waiting", flush=True)
    time.sleep(600)
except KeyboardInterrupt as ex:
    print("handler of Python", repr(str(ex)), flush=True)
"""
    )
    for _ in range(2):
        running.wait_for_line("ready")
        running.send(signal.SIGINT)
        running.wait_for_line("[0, 1, 2]")
    running.wait_for_line("waiting")
    running.send(signal.SIGINT)
    running.wait_for_line("handler of Python ''")
    assert running.end()[0] == 0


def test_a_handler_of_the_program_is_called_during_a_run(start):
    running = start(
        PRELUDE
        + """
import signal
class Stoppable(StatelessSource):
    def next(self):
        if stop:
            raise StopIteration
class StoppableInput(DynamicInput):
    def build(self, worker_index, worker_count):
        return Stoppable()
stop = []
signal.signal(signal.SIGUSR1, lambda *args: stop.append(1))
flow.input("one", TestingInput([1]))
flow.map(ready)
flow.input("idle", StoppableInput())
flow.output("out", TestingOutput([]))
run_main(flow)
stop.clear()
cluster_main(flow, [], 0, worker_count_per_proc=2)
print("ended", flush=True)
"""
    )
    for _ in range(2):
        running.wait_for_line("ready")
        running.send(signal.SIGUSR1)
    running.wait_for_line("ended")
    assert running.end()[0] == 0


@pytest.mark.parametrize("run", [RUN_MAIN, CLUSTER_MAIN], ids=["run_main", "cluster_main"])
def test_what_a_handler_raises_ends_the_run(start, run):
    running = start(
        PRELUDE
        + f"""
import signal
class Alarm(Exception):
    pass
def handler(*args):
    raise Alarm("wake up")
signal.signal(signal.SIGALRM, handler)
flow.input("one", TestingInput([1]))
flow.map(ready)
flow.input("idle", EndlessInput())
flow.output("out", TestingOutput([]))
try:
    {run}
except Alarm as ex:
    print("caught", isinstance(ex, Alarm) and "wake up" in str(ex), flush=True)
"""
    )
    running.wait_for_line("ready")
    running.send(signal.SIGALRM)
    running.wait_for_line("caught True")
    assert running.end()[0] == 0


@pytest.mark.parametrize("run", [RUN_MAIN, CLUSTER_MAIN], ids=["run_main", "cluster_main"])
def test_neither_sources_nor_sinks_are_closed_or_snapshotted(start, run):
    running = start(
        PRELUDE
        + f"""
from bytewax.outputs import DynamicOutput, StatelessSink
class Noting(StatefulSource, StatelessSink):
    def __init__(self):
        self.items = [1]
    def next(self):
        return self.items.pop() if self.items else None
    def snapshot(self):
        print("snapshot", flush=True)
    def write(self, item):
        ready(item)
    def close(self):
        print("close", flush=True)
class In(PartitionedInput):
    def list_parts(self):
        return {{"a"}}
    def build_part(self, for_part, resume_state):
        return Noting()
class Out(DynamicOutput):
    def build(self, worker_index, worker_count):
        return Noting()
flow.input("inp", In())
flow.output("out", Out())
{run}
"""
    )
    running.wait_for_line("ready")
    running.send(signal.SIGINT)
    code, stdout, _ = running.end()
    assert code == -signal.SIGINT
    assert stdout == ""


# --- under bytewax.run --------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
@pytest.mark.parametrize("doing", ["running Python", "asking an idle source"])
def test_signals_under_the_run_script(start, tmp_path, number, code, workers, doing):
    (tmp_path / "interrupted.py").write_text(program(doing, ""))
    running = start(words=["-u", "-m", "bytewax.run", "interrupted", "-w", workers])
    running.wait_for_line("ready")
    running.send(number)
    ended, _, stderr = running.end()
    assert ended == code, stderr
    assert ("KeyboardInterrupt:" in stderr) == (number == signal.SIGINT)


def test_sigterm_while_the_file_is_imported(start, tmp_path):
    (tmp_path / "slow.py").write_text('print("ready", flush=True)\nimport time\ntime.sleep(600)\n')
    running = start(words=["-u", "-m", "bytewax.run", "slow"])
    running.wait_for_line("ready")
    running.send(signal.SIGTERM)
    assert running.end()[0] == 143
