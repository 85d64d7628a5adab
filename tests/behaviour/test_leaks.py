"""Runs leave nothing behind: no item, no state, no memory, whatever the steps are and however they end."""

import contextlib
import gc
import io
import sys

import pytest

from bytewax.connectors.files import DirInput, DirOutput, FileInput, FileOutput
from bytewax.dataflow import Dataflow
from bytewax.inputs import PartitionedInput, StatefulSource
from bytewax.outputs import PartitionedOutput, StatefulSink
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main


class Tracked:
    """An item that counts how many of its kind live."""

    alive = 0

    def __init__(self, number):
        type(self).alive += 1
        self.number = number

    def __del__(self):
        type(self).alive -= 1


ITEMS = 300


def fail_late(item):
    if item.number == ITEMS - 50:
        raise ValueError(item.number)
    return item


def pairs(flow):
    flow.map(lambda item: (str(item.number % 7), item))


def stateful_map(flow):
    pairs(flow)
    flow.stateful_map("state", lambda: Tracked(0), lambda state, item: (None if item.number % 5 == 0 else item, state))


def reduce(flow):
    pairs(flow)
    flow.reduce("total", lambda total, item: Tracked(total.number + 1), lambda total: total.number > 200)


def failing_mapper_of_a_state(flow):
    pairs(flow)
    flow.stateful_map("state", lambda: Tracked(0), lambda state, item: (state, fail_late(item)))


def failing_reducer(flow):
    pairs(flow)
    flow.reduce("total", lambda total, item: fail_late(item), lambda total: False)


def no_pair(flow):
    flow.map(lambda item: ("a", item) if item.number < ITEMS - 50 else item)
    flow.stateful_map("state", lambda: None, lambda state, item: (item, item))


def no_str_key(flow):
    flow.map(lambda item: ("a" if item.number < ITEMS - 50 else 7, item))
    flow.reduce("total", lambda total, item: item, lambda total: False)


STEPS = {
    "map": lambda flow: flow.map(lambda item: Tracked(item.number)),
    "filter": lambda flow: flow.filter(lambda item: item.number % 2 == 0),
    "filter_map": lambda flow: flow.filter_map(lambda item: item if item.number % 2 else None),
    "flat_map": lambda flow: flow.flat_map(lambda item: [item, Tracked(item.number)]),
    "flat_map_generator": lambda flow: flow.flat_map(lambda item: (Tracked(i) for i in range(3))),
    "inspect": lambda flow: flow.inspect(lambda item: item),
    "inspect_epoch": lambda flow: flow.inspect_epoch(lambda epoch, item: item),
    "stateful_map": stateful_map,
    "reduce": reduce,
}
FAILURES = {
    "map": lambda flow: flow.map(fail_late),
    "filter": lambda flow: flow.filter(fail_late),
    "filter_not_bool": lambda flow: flow.filter(lambda item: True if item.number < ITEMS - 50 else item),
    "filter_map": lambda flow: flow.filter_map(fail_late),
    "flat_map": lambda flow: flow.flat_map(lambda item: [fail_late(item)]),
    "flat_map_generator": lambda flow: flow.flat_map(lambda item: (fail_late(i) for i in [item, item])),
    "flat_map_no_iterable": lambda flow: flow.flat_map(lambda item: [item] if item.number < 250 else item),
    "after_flat_map": lambda flow: (flow.flat_map(lambda item: [item] * 3), flow.map(fail_late)),
    "inspect": lambda flow: flow.inspect(fail_late),
    "inspect_epoch": lambda flow: flow.inspect_epoch(lambda epoch, item: fail_late(item)),
    "stateful_map": failing_mapper_of_a_state,
    "reduce": failing_reducer,
    "no_pair": no_pair,
    "no_str_key": no_str_key,
}


def leaks(once):
    """Tell whether the interpreter grows by a memory block or more each time."""
    for _ in range(3):  # caches fill
        once()
    for repetitions in (40, 400):  # what threads and tracebacks leave cached is not more for more of them
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(repetitions):
            once()
        gc.collect()
        if sys.getallocatedblocks() - before < 0.75 * repetitions:
            return False
    return True


@pytest.mark.parametrize("workers", [None, 1, 3])
@pytest.mark.parametrize("name", STEPS)
def test_a_run_to_the_end_leaves_nothing(name, workers):
    check(STEPS[name], workers)


@pytest.mark.parametrize("workers", [None, 1, 3])
@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_run_leaves_nothing(name, workers):
    check(FAILURES[name], workers, raises=True)


def check(add_steps, workers, *, raises=False):
    def once():
        flow = Dataflow()
        flow.input("inp", TestingInput([Tracked(i) for i in range(ITEMS)]))
        add_steps(flow)
        flow.output("out", TestingOutput([]))
        expected = pytest.raises((ValueError, TypeError, RuntimeError)) if raises else contextlib.nullcontext()
        with expected, contextlib.redirect_stderr(io.StringIO()):
            if workers is None:
                run_main(flow)
            else:
                cluster_main(flow, [], 0, worker_count_per_proc=workers)

    assert not leaks(once)
    gc.collect()
    assert Tracked.alive == 0


def test_connectors_leave_nothing(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for name in ["a", "b"]:
        (tmp_path / "in" / name).write_text("one\ntwo\n" * 50)

    def once():
        flow = Dataflow()
        flow.input("dir", DirInput(tmp_path / "in"))
        flow.map(lambda line: (line, line))
        flow.output("out", DirOutput(tmp_path / "out", 3))
        flow.input("file", FileInput(tmp_path / "in" / "a"))
        flow.map(lambda line: (line, line))
        flow.output("file_out", FileOutput(tmp_path / "copy"))
        run_main(flow)

    assert not leaks(once)


REPEATED = """
import contextlib, io, os
from bytewax.dataflow import Dataflow
from bytewax.connectors.files import DirOutput, FileInput
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main

def flows():
    for fails in (False, True):
        flow = Dataflow()
        flow.input("lines", FileInput("lines.txt"))
        flow.output("list", TestingOutput([]))
        flow.input("inp", TestingInput(range(200)))
        flow.flat_map(lambda n: [n, n])
        flow.filter(lambda n: n % 3 != 0)
        flow.filter_map(lambda n: None if n % 7 == 0 else n)
        flow.inspect(lambda n: None)
        flow.inspect_epoch(lambda epoch, n: None)
        flow.map(lambda n: (str(n % 40), n))
        flow.reduce("pairs", lambda a, b: a + b, lambda total: total > 100)
        flow.stateful_map("total", int, lambda total, n: (total + n, total))
        if fails:
            flow.map(lambda item: 1 // 0)
        flow.map(lambda item: (item[0], str(item[1])))
        flow.output("out", DirOutput("out", 3))
        yield flow

def once():
    for flow in flows():
        for run in (run_main, lambda flow: cluster_main(flow, [], 0, worker_count_per_proc=2)):
            with contextlib.suppress(ZeroDivisionError, RuntimeError), contextlib.redirect_stderr(io.StringIO()):
                run(flow)

def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")

os.mkdir("out")
with open("lines.txt", "w") as lines:
    lines.write("line\\n" * 50)
for _ in range(100):  # caches and pools fill
    once()
before, descriptors = resident_bytes(), len(os.listdir("/proc/self/fd"))
for _ in range(300):
    once()
print(resident_bytes() - before, len(os.listdir("/proc/self/fd")) - descriptors)
"""


@pytest.mark.slow
def test_memory_and_descriptors_stay_flat_over_repeated_runs(start):
    """Also what the engine allocates, of which the interpreter does not know."""
    code, stdout, stderr = start(REPEATED).end()
    assert code == 0, stderr
    growth_bytes, growth_descriptors = map(int, stdout.split())
    assert growth_descriptors == 0
    assert growth_bytes < 1_000_000  # 1200 runs: a leak of 1 kB in each shows


class FailingParts(PartitionedOutput):
    """Sinks that fail where they are told to."""

    def __init__(self, method):
        self.method = method

    def list_parts(self):
        return {"a", "b"}

    def assign_part(self, item_key):
        if self.method == "assign_part":
            raise ValueError(item_key)
        return "ab"[int(item_key) % 2]

    def build_part(self, for_part, resume_state):
        if self.method == "build" and for_part == "b":
            raise ValueError(for_part)
        return FailingSink(self.method)


class FailingSink(StatefulSink):
    def __init__(self, method):
        self.method = method
        self.kept = Tracked(0)

    def write(self, value):
        if self.method == "write":
            fail_late(value)

    def snapshot(self):
        if self.method == "snapshot":
            raise ValueError
        return self.kept

    def close(self):
        if self.method == "close":
            raise ValueError


@pytest.mark.parametrize("workers", [None, 2])
@pytest.mark.parametrize("method", ["assign_part", "build", "write", "snapshot", "close"])
def test_a_failing_sink_leaves_nothing(method, workers):
    def add_steps(flow):
        pairs(flow)
        flow.output("parts", FailingParts(method))

    check(add_steps, workers, raises=True)


class FailingSource(StatefulSource):
    def __init__(self, method):
        self.method = method
        self.items = iter([Tracked(number) for number in range(20)])

    def next(self):
        item = next(self.items)
        if self.method == "next" and item.number == 10:
            raise ValueError
        return item

    def snapshot(self):
        if self.method == "snapshot":
            raise ValueError
        return self.items

    def close(self):
        if self.method == "close":
            raise ValueError


class FailingInput(PartitionedInput):
    def __init__(self, method):
        self.method = method

    def list_parts(self):
        return {"a", "b", "c"}

    def build_part(self, for_part, resume_state):
        if self.method == "build" and for_part == "c":
            raise ValueError
        return FailingSource(self.method)


@pytest.mark.parametrize("workers", [None, 2])
@pytest.mark.parametrize("method", ["build", "next", "snapshot", "close"])
def test_a_failing_source_leaves_nothing(method, workers):
    def add_steps(flow):
        flow.input("failing", FailingInput(method))
        flow.map(lambda item: Tracked(item.number))

    check(add_steps, workers, raises=True)
