"""Functions of the user that do what nobody expects: the run ends as it should, and nothing crashes."""

import gc
import signal
import sys
import threading
import weakref

import pytest

from bytewax.dataflow import Dataflow
from bytewax.inputs import PartitionedInput
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main

PRELUDE = """
import gc, itertools, os, subprocess, sys, threading, time
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main

def flow_of(items, *steps):
    out = []
    flow = Dataflow()
    flow.input("inp", TestingInput(items))
    for operator, *arguments in steps:
        getattr(flow, operator)(*arguments)
    flow.output("out", TestingOutput(out))
    return flow, out

def ready(item):
    print("ready", flush=True)
"""
RUN_MAIN = "run_main(flow)\n"
CLUSTER_MAIN = "cluster_main(flow, [], 0, worker_count_per_proc=2)\n"


def test_a_process_that_a_worker_starts_can_be_terminated(start):
    # A thread that blocks signals hands that down to the processes it starts.
    code, out, err = start(
        PRELUDE
        + """
def start_and_terminate(item):
    child = subprocess.Popen(["sleep", "600"])
    child.terminate()
    return child.wait(timeout=20)
flow, out = flow_of([1], ("map", start_and_terminate))
"""
        + CLUSTER_MAIN
        + "print(out)"
    ).end()
    assert (code, out.strip()) == (0, "[-15]"), err


@pytest.mark.parametrize("run", [RUN_MAIN, CLUSTER_MAIN], ids=["run_main", "cluster_main"])
@pytest.mark.parametrize(
    "endless",
    [
        '("flat_map", lambda item: itertools.count()), ("filter", {}.__contains__)',
        # No call of it gives many items.
        '("flat_map", lambda item: itertools.repeat([1])), ("flat_map", iter), ("filter", {}.__contains__)',
        '("flat_map", lambda item: [[1] * 1000] * 1000), ("flat_map", itertools.cycle), ("filter", {}.__contains__)',
    ],
    ids=["iterator", "short lists", "list"],
)
def test_sigint_ends_functions_in_c_that_never_come_to_an_end(start, run, endless):
    program = start(f'{PRELUDE}flow, out = flow_of([1], ("inspect", ready), {endless})\n{run}')
    program.wait_for_line("ready")
    program.send(signal.SIGINT)
    code, _, err = program.end()
    assert code == -signal.SIGINT
    assert "interrupt signal received" in err


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_after_an_interrupt_no_item_goes_on(interrupt):
    seen = []

    def fail_late(number):
        if number == 500:
            raise interrupt
        return number

    flow = Dataflow()
    flow.input("inp", TestingInput([1]))
    flow.flat_map(lambda item: list(range(1000)))
    flow.map(fail_late)
    flow.inspect(seen.append)
    flow.output("out", TestingOutput([]))
    with pytest.raises(interrupt):
        run_main(flow)
    assert seen == []


def test_what_cleans_up_after_an_interrupt_on_a_worker_has_its_time(start):
    program = start(
        PRELUDE
        + """
def clean_up(item):
    try:
        ready(item)
        while True:
            pass
    finally:
        for _ in range(20):
            time.sleep(0.01)
        print("cleaned", flush=True)
flow, out = flow_of([1], ("map", clean_up))
"""
        + CLUSTER_MAIN
    )
    program.wait_for_line("ready")
    program.send(signal.SIGINT)
    code, out, _ = program.end()
    assert (code, out.strip()) == (-signal.SIGINT, "cleaned")


def test_traced_code_goes_on_after_an_interrupt_of_workers(start):
    # CPython 3.11 hangs there on a flag that it keeps after an asynchronous exception was taken back.
    program = start(
        PRELUDE
        + """
class Source:
    def __iter__(self):
        print("ready", flush=True)
        while True:
            yield None
flow, out = flow_of(Source())
threading.settrace(lambda *event: None)
sys.settrace(lambda *event: None)
try:
    cluster_main(flow, [], 0, worker_count_per_proc=3)
except KeyboardInterrupt:
    run_main(flow_of([1])[0])
    print("over", flush=True)
"""
    )
    program.wait_for_line("ready")
    program.send(signal.SIGINT)
    code, out, err = program.end()
    assert (code, out.strip()) == (0, "over"), err


@pytest.mark.parametrize("run", [RUN_MAIN, CLUSTER_MAIN], ids=["run_main", "cluster_main"])
def test_very_many_flat_maps_in_a_row_fit_the_stack(start, run):
    code, out, err = start(
        f'{PRELUDE}flow, out = flow_of([1], *[("flat_map", lambda item: [item])] * 50_000)\n{run}print(out)'
    ).end()
    assert (code, out.strip()) == (0, "[1]"), err


def test_flat_maps_beyond_those_of_one_chain_give_all_items(collect, entry_point):
    def add_steps(flow):
        for _ in range(200):
            flow.flat_map(lambda item: [item] if item > 1 else [item + 1, item + 2])

    assert sorted(collect([1, 5, 1], add_steps, run=entry_point)) == [2, 2, 3, 3, 5]


def test_a_worker_runs_but_once_whoever_finds_it(start):
    code, out, err = start(
        PRELUDE
        + """
def run_again(item):
    for found in gc.get_objects():
        if type(found).__name__ == "_Execution":
            for index in (0, 1, 7):
                try:
                    found._run(index)
                except (RuntimeError, ValueError) as error:
                    print(type(error).__name__)
flow, out = flow_of([1], ("inspect", run_again))
run_main(flow)
cluster_main(flow, [], 0, worker_count_per_proc=1)
"""
    ).end()
    assert code == 0, err
    assert out.split() == ["ValueError"] * 3 + ["RuntimeError"] + ["ValueError"] * 2


def test_a_finalizer_at_the_end_of_the_interpreter_may_run_a_dataflow(start):
    # Threads can't be started any more.
    code, out, err = start(
        PRELUDE
        + """
class Last:
    def __init__(self):
        self.me = self
    def __del__(self):
        for run in (run_main, lambda flow: cluster_main(flow, [], 0)):
            flow, out = flow_of([1, 2])
            try:
                run(flow)
                print(out)
            except RuntimeError as error:
                print("RuntimeError:", error)
Last()
"""
    ).end()
    assert code == 0, err
    assert out.splitlines() == ["[1, 2]", "RuntimeError: can't start new thread at interpreter shutdown"]


def test_threads_that_can_not_be_started_leave_nothing(monkeypatch):
    class Item:
        pass

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    def run():
        item = Item()
        flow = Dataflow()
        flow.input("inp", TestingInput([item]))
        flow.output("out", TestingOutput([]))
        with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="can't start new thread"):
            patch.setattr(threading.Thread, "start", refuse)
            cluster_main(flow, [], 0, worker_count_per_proc=3)
        return weakref.ref(item)

    item = run()
    gc.collect()
    assert item() is None


class NoRepr:
    def __repr__(self):
        raise ValueError("no repr")


@pytest.mark.parametrize(
    ("items", "add_step", "text"),
    [
        ([1], lambda flow: flow.filter(lambda item: NoRepr()), "return value of `predicate`"),
        ([NoRepr()], lambda flow: flow.stateful_map("s", int, max), r"requires a `\(key, value\)` 2-tuple"),
        ([(NoRepr(), 1)], lambda flow: flow.stateful_map("s", int, max), "must return string or integer keys"),
        ([("a", 1)], lambda flow: flow.stateful_map("s", int, lambda s, v: NoRepr()), "return value of `mapper`"),
        ([("a", 1)], lambda flow: flow.reduce("s", max, lambda v: NoRepr()), "return value of `is_complete`"),
    ],
)
def test_a_wrong_value_whose_repr_fails_is_refused_all_the_same(collect, items, add_step, text):
    with pytest.raises(TypeError, match=f"{text}.*<NoRepr object whose repr\\(\\) fails>"):
        collect(items, add_step)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_iterating_over_the_listed_partitions_raises_is_kept(error):
    class Listed:
        def __iter__(self):
            raise error("of the user")

    class Input(PartitionedInput):
        def list_parts(self):
            return Listed()

        def build_part(self, for_part, resume_state):
            raise AssertionError

    flow = Dataflow()
    flow.input("inp", Input())
    flow.output("out", TestingOutput([]))
    with pytest.raises(error) as caught:
        run_main(flow)
    assert str(caught.value.__cause__) == "of the user"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes")
def test_an_exception_that_is_the_only_one_of_its_class_is_not_its_own_cause(collect):
    class Single(Exception):
        instance = None

        def __new__(cls, *args):
            if cls.instance is None:
                cls.instance = super().__new__(cls, *args)
            return cls.instance

    def fail(item):
        raise Single("single")

    with pytest.raises(Single) as caught:
        collect([1], lambda flow: flow.map(fail))
    assert caught.value.__cause__ is None
    assert any("error calling `map` mapper" in note for note in caught.value.__notes__)


class InterruptedConstructor(Exception):
    def __init__(self, text):
        super().__init__(text)
        if "error calling" in text:
            signal.raise_signal(signal.SIGINT)


class InterruptedText(Exception):
    def __str__(self):
        signal.raise_signal(signal.SIGINT)
        return "text"


@pytest.mark.parametrize("error", [InterruptedConstructor, InterruptedText])
def test_an_interrupt_that_comes_while_an_error_is_told_is_not_lost(collect, error):
    def fail(item):
        raise error("failed")

    with pytest.raises(KeyboardInterrupt):
        collect([1], lambda flow: flow.map(fail))
