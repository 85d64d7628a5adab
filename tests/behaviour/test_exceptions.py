"""What is raised when code of the user fails, and what is done with the rest of the run."""

import traceback

import pytest

from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.inputs import DynamicInput, PartitionedInput
from bytewax.outputs import DynamicOutput, PartitionedOutput, StatefulSink, StatelessSink
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main


class MyError(Exception):
    pass


class TwoArguments(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)
        self.a, self.b = a, b


class KeywordOnly(Exception):
    def __init__(self, *, reason):
        super().__init__()
        self.reason = reason

    def __str__(self):
        return f"because of {self.reason}"


class Silent(Exception):
    """Takes a text and doesn't show it."""

    def __str__(self):
        return "silent"


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")


def failing(error):
    def fail_here(*args):
        raise error

    return fail_here


def _steps():
    """Name, what adds the failing step, phrase of the message."""
    return [
        ("map", lambda flow, fail: flow.map(fail), "error calling `map` mapper"),
        ("filter_map", lambda flow, fail: flow.filter_map(fail), "error calling `map` mapper"),
        ("flat_map", lambda flow, fail: flow.flat_map(fail), "error calling `flat_map` mapper"),
        ("inspect", lambda flow, fail: flow.inspect(fail), "error calling `inspect` inspector"),
        ("inspect_epoch", lambda flow, fail: flow.inspect_epoch(fail), "error calling `inspect_epoch` inspector"),
        ("reduce", lambda flow, fail: flow.reduce("s", fail, lambda total: False), "error calling reducer"),
        (
            "stateful_map builder",
            lambda flow, fail: flow.stateful_map("s", fail, lambda state, value: (state, value)),
            "error calling `stateful_map` builder",
        ),
        (
            "stateful_map mapper",
            lambda flow, fail: flow.stateful_map("s", int, fail),
            "error calling `stateful_map` mapper",
        ),
    ]


def _bare_steps():
    """Steps whose exceptions come as they are."""
    return [
        ("filter", lambda flow, fail: flow.filter(fail)),
        ("is_complete", lambda flow, fail: flow.reduce("s", max, fail)),
        ("flat_map iteration", lambda flow, fail: flow.flat_map(lambda item: map(fail, [item]))),
    ]


def run_failing(add_step, error, run=run_main, items=(("k", 1), ("k", 2))):
    flow, out = Dataflow(), []
    flow.input("inp", TestingInput(items))
    add_step(flow, failing(error))
    flow.output("out", TestingOutput(out))
    with pytest.raises(BaseException) as caught:
        run(flow)
    return caught.value


def each(steps):
    """Parametrize by all but the name, which is the id."""
    names = ("add_step", "phrase") if len(steps[0]) == 3 else "add_step"
    return pytest.mark.parametrize(
        names, [step[1:] if len(step) == 3 else step[1] for step in steps], ids=[step[0] for step in steps]
    )


ALL_STEPS = [(name, add_step) for name, add_step, _ in _steps()] + _bare_steps()
STEPS = each(_steps())
BARE_STEPS = each(_bare_steps())
ANY_STEP = each(ALL_STEPS)
CALLING_STEP = each(ALL_STEPS[:-1])  # in an iterator, StopIteration is no error


@STEPS
@pytest.mark.parametrize("error_class", [ValueError, MyError, ZeroDivisionError, OSError], ids=lambda c: c.__name__)
def test_an_exception_keeps_its_class_and_tells_where(add_step, phrase, error_class):
    original = error_class("what happened")
    raised = run_failing(add_step, original)
    assert type(raised) is error_class
    assert phrase in str(raised)
    assert f"Caused by => {error_class.__name__}: what happened" in str(raised)
    assert raised.__cause__ is original


@STEPS
def test_the_step_is_named(add_step, phrase):
    raised = run_failing(add_step, ValueError("what happened"))
    assert "in step 's'" in str(raised) or "(step 2)" in str(raised)


@ANY_STEP
def test_the_line_of_the_user_is_shown(add_step):
    raised = run_failing(add_step, ValueError("what happened"))
    text = "".join(traceback.format_exception(raised))
    assert "in fail_here" in text
    assert "raise error" in text


@BARE_STEPS
def test_some_exceptions_come_as_they_are(add_step):
    original = MyError("what happened")
    assert run_failing(add_step, original) is original


@ANY_STEP
def test_a_key_error_is_a_runtime_error_too(add_step):
    raised = run_failing(add_step, KeyError("missing"))
    assert isinstance(raised, KeyError)
    if raised.__cause__ is not None:  # else it came as it was
        assert isinstance(raised, RuntimeError)
        assert "\n" in str(raised)  # as lines, not as the repr that a KeyError shows
    assert "missing" in str(raised)


@STEPS
@pytest.mark.parametrize(
    "original",
    [
        TwoArguments("a", "b"),
        KeywordOnly(reason="this"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        Silent("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_that_cannot_be_rebuilt_comes_as_it_is(add_step, phrase, original):
    raised = run_failing(add_step, original)
    assert raised is original
    if hasattr(raised, "__notes__"):
        assert any(phrase in note for note in raised.__notes__)


@STEPS
def test_an_exception_without_a_text_keeps_its_class(add_step, phrase):
    assert isinstance(run_failing(add_step, Unprintable()), Unprintable)


@STEPS
def test_an_exception_group_keeps_its_class(add_step, phrase):
    group = getattr(__import__("builtins"), "ExceptionGroup", None)
    if group is None:
        pytest.skip("Python 3.10 has none")
    original = group("several", [ValueError("a")])
    assert run_failing(add_step, original) is original


@CALLING_STEP
@pytest.mark.parametrize(
    "error", [SystemExit(3), GeneratorExit(), StopIteration("stop")], ids=lambda e: type(e).__name__
)
def test_nothing_is_swallowed(add_step, error):
    raised = run_failing(add_step, error)
    assert type(raised) is type(error)
    if isinstance(error, SystemExit):
        assert raised.code == 3


def test_a_keyboard_interrupt_of_user_code_is_one():
    raised = run_failing(lambda flow, fail: flow.map(fail), KeyboardInterrupt())
    assert type(raised) is KeyboardInterrupt


@ANY_STEP
def test_items_before_the_failing_one_are_written(add_step):
    """Under each step: the items before go through it, the failing one meets a failing function."""
    flow, out = Dataflow(), []
    flow.input("inp", TestingInput([1, 2, 3, 4]))
    flow.output("out", TestingOutput(out))
    flow.filter(lambda item: item == 3)
    flow.map(lambda item: ("k", item))
    flow.flat_map(lambda item: [item, item])
    add_step(flow, failing(ValueError("what happened")))
    with pytest.raises(ValueError):
        run_main(flow)
    assert out == [1, 2, 3]


def test_one_over_x():
    flow, out = Dataflow(), []
    flow.input("inp", TestingInput([1, 2, 0, 3]))
    flow.map(lambda x: 1 / x)
    flow.output("out", TestingOutput(out))
    with pytest.raises(ZeroDivisionError):
        run_main(flow)
    assert out == [1.0, 0.5]


def test_products_before_a_failing_one_are_written_if_later_steps_saw_them():
    flow, out = Dataflow(), []
    flow.input("inp", TestingInput([[1, 2], [3, 0, 5]]))
    flow.flat_map(lambda item: item)
    flow.map(lambda x: 6 // x)
    flow.output("out", TestingOutput(out))
    with pytest.raises(ZeroDivisionError):
        run_main(flow)
    assert out[:2] == [6, 3]
    assert 1 not in out


def test_a_run_after_a_failed_one_is_clean(entry_point):
    flow, out, fail = Dataflow(), [], [True]
    flow.input("inp", TestingInput([("a", 1), ("a", 2)]))
    flow.stateful_map("s", int, lambda total, value: (total + value, total + value))
    flow.map(lambda item: 1 // 0 if fail[0] else item)
    flow.output("out", TestingOutput(out))
    with pytest.raises((ZeroDivisionError, RuntimeError)):
        entry_point(flow)
    fail.clear()
    fail.append(False)
    entry_point(flow)
    assert sorted(out) == [("a", 1), ("a", 3)]


# --- sources, sinks and their building ----------------------------------------------------------------


def test_next_of_a_partition_tells_where(parts, list_source):
    flow = Dataflow()
    flow.input("my input", parts({"a": list_source([ValueError("what happened")])}))
    flow.output("out", TestingOutput([]))
    with pytest.raises(ValueError, match="error getting next input item from partition source") as caught:
        run_main(flow)
    assert "my input" in str(caught.value)
    assert "what happened" in str(caught.value)


def test_next_of_a_dynamic_source_tells_where(every_worker, list_source):
    flow = Dataflow()
    flow.input("my input", every_worker(lambda index, count: list_source([ValueError("what happened")])))
    flow.output("out", TestingOutput([]))
    with pytest.raises(ValueError, match="error getting input") as caught:
        run_main(flow)
    assert "my input" in str(caught.value)


def test_a_generator_that_fails_tells_where():
    def items():
        yield 1
        raise MyError("what happened")

    flow, out = Dataflow(), []
    flow.input("inp", TestingInput(items()))
    flow.output("out", TestingOutput(out))
    with pytest.raises(MyError, match="what happened"):
        run_main(flow)
    assert out == [1]


def test_what_is_no_iterable_fails_the_run():
    flow = Dataflow()
    flow.input("inp", TestingInput(1))
    flow.output("out", TestingOutput([]))
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        run_main(flow)


class FailingInput(PartitionedInput):
    def list_parts(self):
        if "list_parts" in self.failing:
            raise MyError("what happened")
        return {"a"}

    def build_part(self, for_part, resume_state):
        raise MyError("what happened")

    def __init__(self, *failing):
        self.failing = failing


class FailingDynamicInput(DynamicInput):
    def build(self, worker_index, worker_count):
        raise MyError("what happened")


class FailingOutput(PartitionedOutput):
    def __init__(self, *failing):
        self.failing = failing

    def list_parts(self):
        if "list_parts" in self.failing:
            raise MyError("what happened")
        return {"a"}

    def assign_part(self, item_key):
        raise MyError("what happened")

    def build_part(self, for_part, resume_state):
        if "build_part" in self.failing:
            raise MyError("what happened")
        return WritingNothing()


class WritingNothing(StatefulSink, StatelessSink):
    def write(self, item):
        raise MyError("what happened")

    def snapshot(self):
        return None


class FailingDynamicOutput(DynamicOutput):
    def __init__(self, build=None):
        self.build_for = build

    def build(self, worker_index, worker_count):
        if self.build_for is None:
            raise MyError("what happened")
        return self.build_for()


@pytest.mark.parametrize(
    ("source", "phrases"),
    [
        (FailingInput("list_parts"), ["errror in `list_parts`", "error building PartitionedInput"]),
        (FailingInput(), ["error creating input source partitions", "error building PartitionedInput"]),
        (FailingDynamicInput(), []),
    ],
    ids=["list_parts", "build_part", "build"],
)
def test_building_an_input_tells_where(source, phrases):
    flow = Dataflow()
    flow.input("my input", source)
    flow.output("out", TestingOutput([]))
    with pytest.raises(MyError, match="what happened") as caught:
        run_main(flow)
    for phrase in [*phrases, "error building Dataflow", "worker error", "my input"]:
        assert phrase in str(caught.value)
    assert isinstance(caught.value.__cause__, MyError)


@pytest.mark.parametrize(
    ("sink", "phrases"),
    [
        (
            FailingOutput("list_parts"),
            ["error calling PartitionedOutput.list_parts", "error building PartitionedOutput"],
        ),
        (FailingOutput("build_part"), ["error building output parts", "error building PartitionedOutput"]),
        (FailingDynamicOutput(), ["error building DynamicOutput"]),
    ],
    ids=["list_parts", "build_part", "build"],
)
def test_building_an_output_tells_where(sink, phrases):
    flow = Dataflow()
    flow.input("inp", TestingInput([]))
    flow.output("my output", sink)
    with pytest.raises(MyError, match="what happened") as caught:
        run_main(flow)
    for phrase in [*phrases, "error building Dataflow", "worker error", "my output"]:
        assert phrase in str(caught.value)


def test_assign_part_comes_as_it_is():
    flow = Dataflow()
    flow.input("inp", TestingInput([("a", 1)]))
    flow.output("out", FailingOutput())
    with pytest.raises(MyError) as caught:
        run_main(flow)
    assert str(caught.value) == "what happened"


def sink_failing_in(method):
    def fail(self, *args):
        raise MyError("what happened")

    methods = {"write": lambda self, item: None, "snapshot": lambda self: None, "close": lambda self: None}
    return type("FailingSink", (StatefulSink, StatelessSink), {**methods, method: fail})()


class OnePart(PartitionedOutput):
    def __init__(self, sink):
        self.sink = sink

    def list_parts(self):
        return {"a"}

    def assign_part(self, item_key):
        return "a"

    def build_part(self, for_part, resume_state):
        return self.sink


@pytest.mark.parametrize(
    ("output", "phrase"),
    [
        (OnePart(sink_failing_in("write")), "error writing to output"),
        (FailingDynamicOutput(lambda: sink_failing_in("write")), "error writing to dynamic output"),
        (FailingDynamicOutput(lambda: sink_failing_in("close")), "error closing dynamic output"),
    ],
    ids=["partitioned write", "dynamic write", "dynamic close"],
)
def test_a_sink_tells_where(output, phrase):
    flow = Dataflow()
    flow.input("inp", TestingInput([("a", 1)]))
    flow.output("my output", output)
    with pytest.raises(MyError, match=phrase) as caught:
        run_main(flow)
    assert "what happened" in str(caught.value)
    assert "my output" in str(caught.value)


@pytest.mark.parametrize("method", ["snapshot", "close"])
def test_snapshot_and_close_of_a_partition_come_as_they_are(method):
    flow = Dataflow()
    flow.input("inp", TestingInput([("a", 1)]))
    flow.output("out", OnePart(sink_failing_in(method)))
    with pytest.raises(MyError) as caught:
        run_main(flow)
    assert str(caught.value) == "what happened"


# --- threads ------------------------------------------------------------------------------------------


@CALLING_STEP
@pytest.mark.parametrize(
    "error",
    [
        ValueError("what happened"),
        TwoArguments("what", "happened"),
        SystemExit(3),
        StopIteration("stop"),
        KeyError("x"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_with_threads_it_is_a_runtime_error(capfd, add_step, error):
    raised = run_failing(add_step, error, run=lambda flow: cluster_main(flow, [], 0, worker_count_per_proc=2))
    assert isinstance(raised, RuntimeError)
    assert isinstance(raised, BytewaxRuntimeError)
    assert "Worker thread died; look for errors above" in str(raised)
    assert isinstance(raised.__cause__, type(error))
    lines = capfd.readouterr().err.splitlines()
    assert all(line.startswith("<bytewax:worker-") for line in lines)
    assert any(type(error).__name__ in line for line in lines)
    assert any("in fail_here" in line for line in lines)


@pytest.mark.parametrize("worker_count", [1, 2, 4])
def test_one_failing_worker_ends_all(every_worker, list_source, worker_count):
    """The others have input without end."""

    class Endless(list_source):
        def next(self):
            return None

    flow = Dataflow()
    flow.input(
        "inp",
        every_worker(lambda index, count: list_source([1, MyError("what happened")]) if index == 0 else Endless([])),
    )
    flow.output("out", TestingOutput([]))
    with pytest.raises(RuntimeError, match="Worker thread died") as caught:
        cluster_main(flow, [], 0, worker_count_per_proc=worker_count)
    assert isinstance(caught.value.__cause__, MyError)


def test_a_worker_that_fails_to_build_ends_all(every_worker, list_source, capfd):
    class Endless(list_source):
        def next(self):
            return None

    def build(index, count):
        if index == 1:
            raise MyError("what happened")
        return Endless([])

    flow = Dataflow()
    flow.input("inp", every_worker(build))
    flow.output("out", TestingOutput([]))
    with pytest.raises(RuntimeError, match="Worker thread died"):
        cluster_main(flow, [], 0, worker_count_per_proc=2)
    assert "what happened" in capfd.readouterr().err


# --- what else user code may do -----------------------------------------------------------------------


def test_a_function_may_take_its_item_apart(collect):
    def spoil(item):
        item[1].clear()
        return item

    assert collect([("a", [1, 2]), ("b", [3])], lambda flow: flow.map(spoil)) == [("a", []), ("b", [])]


def test_a_mapper_may_change_the_list_that_is_read(collect):
    items = [1, 2, 3]

    def grow(item):
        if len(items) < 6:
            items.append(item * 10)
        return item

    assert collect(items, lambda flow: flow.map(grow)) == [1, 2, 3, 10, 20, 30]


def test_a_function_may_clear_the_list_that_is_read(collect):
    items = [1, 2, 3]
    out = collect(items, lambda flow: flow.inspect(lambda item: items.clear()))
    assert out[0] == 1
    assert set(out) <= {1, 2, 3}


def test_a_mapper_may_keep_references_for_ever(collect):
    kept = []
    out = collect([("a", object()), ("b", object())], lambda flow: flow.map(lambda item: kept.append(item) or item))
    assert kept == out


def test_a_builder_may_run_while_its_table_grows(collect):
    def builder():
        collect([(f"inner-{i}", i) for i in range(50)], lambda flow: flow.stateful_map("s", int, lambda s, v: (s, v)))
        return 0

    items = [(f"key-{i}", i) for i in range(20)]
    assert collect(items, lambda flow: flow.stateful_map("s", builder, lambda s, v: (s, v))) == items


def test_an_item_may_be_an_exception_or_a_class(collect):
    items = [ValueError("an item"), ValueError, StopIteration(), type]
    assert collect(items, lambda flow: flow.map(lambda item: item)) == items


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_finalizer_may_raise(collect):
    class Loud:
        def __del__(self):
            raise ValueError("nobody hears it")

    assert collect([1, 2], lambda flow: flow.map(lambda item: (Loud(), item)[1])) == [1, 2]
    assert collect([1, 2], lambda flow: flow.map(lambda item: Loud()), lambda flow: flow.map(lambda loud: 3)) == [3, 3]


def test_a_flow_may_lose_all_its_references_during_a_run():
    out = []

    def run():
        flow = Dataflow()
        flow.input("inp", TestingInput(iter([1, 2, 3])))

        def mapper(item):
            flow.__setstate__({"type": "Dataflow", "steps": []})
            return item + 1

        flow.map(mapper)
        flow.output("out", TestingOutput(out))
        run_main(flow)

    run()
    assert out == [2, 3, 4]
