"""Runs leave nothing behind: no item, no state, no memory, whatever the steps are and however they end."""

import contextlib
import gc
import io
import sys

import pytest
from bytewax.connectors.files import DirInput, DirOutput, FileInput, FileOutput
from bytewax.dataflow import Dataflow
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
    flow.stateful_map(
        "state", lambda: Tracked(0), lambda state, item: (None if item.number % 5 == 0 else item, state)
    )


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


def blocks_after(repetitions, once):
    """Return by how many memory blocks the interpreter has grown over repetitions of `once`."""
    for _ in range(3):  # caches fill
        once()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(repetitions):
        once()
    gc.collect()
    return sys.getallocatedblocks() - before


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

    # A leak of one object a run would show as 40; what threads leave cached differs by a few.
    assert blocks_after(40, once) < 30
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

    assert blocks_after(40, once) < 30
