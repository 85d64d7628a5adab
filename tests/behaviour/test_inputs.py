"""What the engine asks of sources, and what it makes of their answers."""

from datetime import timedelta

import pytest

from bytewax.dataflow import Dataflow
from bytewax.inputs import (
    DynamicInput,
    EmptySource,
    Input,
    PartitionedInput,
    StatefulSource,
    StatelessSource,
)
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main

EVERY_POLL = timedelta(0)


@pytest.fixture
def read():
    """Return a function that reads an input to its end, on one worker if not told how."""

    def read(source, run=run_main, **kwargs):
        flow, out = Dataflow(), []
        flow.input("inp", source)
        flow.output("out", TestingOutput(out))
        run(flow, **kwargs)
        return out

    return read


@pytest.fixture(params=["partitioned", "dynamic"])
def input_of(request, parts, every_worker):
    """Return a function that makes an input of one source, by each of the two kinds."""

    def input_of(source):
        if request.param == "partitioned":
            return parts({"part": source})
        return every_worker(lambda index, count: source if index == 0 else EmptySource())

    return input_of


# --- the classes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "methods"),
    [
        (PartitionedInput, ["list_parts", "build_part"]),
        (StatefulSource, ["next", "snapshot"]),
        (DynamicInput, ["build"]),
        (StatelessSource, ["next"]),
    ],
)
def test_a_class_without_the_abstract_methods_cannot_be_made(base, methods):
    with pytest.raises(TypeError):
        type("Empty", (base,), {})()
    for missing in methods:
        some = {name: lambda self: None for name in methods if name != missing}
        with pytest.raises(TypeError, match=missing):
            type("Partial", (base,), some)()
    type("Whole", (base,), {name: lambda self: None for name in methods})()


@pytest.mark.parametrize("base", [StatefulSource, StatelessSource])
def test_close_does_nothing_if_not_defined(base):
    source = type("Source", (base,), {"next": None, "snapshot": None})()
    assert source.close() is None


def test_an_input_describes_itself_by_its_class():
    assert type("Mine", (Input,), {})().__json__() == {"type": "Mine"}


def test_empty_source_is_finished_at_once(read, every_worker):
    with pytest.raises(StopIteration):
        EmptySource().next()
    assert read(every_worker(lambda index, count: EmptySource())) == []


def test_a_bare_input_is_of_unknown_type(read):
    with pytest.raises(TypeError, match="unknown input type"):
        read(type("Bare", (Input,), {})())


# --- partitions ---------------------------------------------------------------------------------------


def test_no_partitions_are_no_items(read, parts, entry_point):
    assert read(parts({}), run=entry_point) == []


@pytest.mark.parametrize(
    "make", [set, frozenset, list, tuple, dict.fromkeys, iter, lambda names: (name for name in names)]
)
def test_partitions_may_be_any_iterable_of_str(read, list_source, make):
    class Some(PartitionedInput):
        def list_parts(self):
            return make(["a", "b"])

        def build_part(self, for_part, resume_state):
            return list_source([for_part])

    assert sorted(read(Some())) == ["a", "b"]


@pytest.mark.parametrize("names", [None, 1, {1}, {"a", b"b"}, [None]], ids=repr)
def test_partitions_must_be_str(read, list_source, names):
    class Wrong(PartitionedInput):
        def list_parts(self):
            return names

        def build_part(self, for_part, resume_state):
            return list_source([for_part])

    with pytest.raises(TypeError) as caught:
        read(Wrong())
    assert "list_parts" in str(caught.value)


def test_each_worker_lists_and_one_builds_in_order_of_name(read, list_source, entry_point):
    listed, built = [], []

    class Noting(PartitionedInput):
        def list_parts(self):
            listed.append(1)
            return {"c", "a", "b", "d"}

        def build_part(self, for_part, resume_state):
            built.append((for_part, resume_state))
            return list_source([for_part])

    assert sorted(read(Noting(), run=entry_point)) == ["a", "b", "c", "d"]
    assert len(listed) == entry_point.worker_count
    assert sorted(built) == [(name, None) for name in "abcd"]
    if not entry_point.in_threads:
        assert built == sorted(built)


def test_build_part_is_called_by_position(read, list_source):
    class OtherNames(PartitionedInput):
        def list_parts(self):
            return {"a"}

        def build_part(self, for_key, state):
            return list_source([for_key, "state"])

    assert read(OtherNames()) == ["a", "state"]


def test_a_partition_that_is_none_is_left_out(read, parts, list_source):
    assert read(parts({"a": None, "b": list_source([1])})) == [1]


def test_a_partition_must_be_a_stateful_source(read, parts):
    class Alike:
        def next(self):
            raise StopIteration

        snapshot = close = next

    with pytest.raises(TypeError, match=r"stateful source must subclass `bytewax\.inputs\.StatefulSource`"):
        read(parts({"a": Alike()}))


@pytest.mark.parametrize("built", [None, 1, object()], ids=["None", "int", "object"])
def test_a_dynamic_input_must_build_a_stateless_source(read, every_worker, built):
    with pytest.raises(TypeError, match=r"stateless source must subclass `bytewax\.inputs\.StatelessSource`"):
        read(every_worker(lambda index, count: built))


def test_every_worker_builds_its_own_share(read, every_worker, list_source, entry_point):
    built = []

    def build(index, count):
        built.append((index, count))
        return list_source([index])

    count = entry_point.worker_count
    assert sorted(read(every_worker(build), run=entry_point)) == list(range(count))
    assert sorted(built) == [(index, count) for index in range(count)]


def test_sources_come_anew_for_each_run(parts, list_source, entry_point):
    flow, out = Dataflow(), []
    flow.input("inp", parts({"a": lambda: list_source([1, 2])}))
    flow.output("out", TestingOutput(out))
    entry_point(flow)
    entry_point(flow)
    assert sorted(out) == [1, 1, 2, 2]


# --- what next() answers ------------------------------------------------------------------------------


def test_none_is_nothing_now(read, input_of, list_source, entry_point):
    out = read(input_of(list_source([None, 1, None, None, 2])), run=entry_point)
    assert sorted(out) == [1, 2]


@pytest.mark.parametrize("items", [[1, None, 2], (None, 1, None, 2, None), iter([1, None, 2])], ids=repr)
def test_a_none_in_a_list_is_left_out(read, items):
    assert read(TestingInput(items)) == [1, 2]


@pytest.mark.parametrize("item", [0, "", False, [], (), 0.0], ids=repr)
def test_what_is_false_is_an_item(read, input_of, list_source, item):
    assert read(input_of(list_source([item]))) == [item]


def test_a_subclass_of_stop_iteration_ends_a_source(read, input_of, list_source):
    class Done(StopIteration):
        pass

    assert read(input_of(list_source([1, Done(), 2]))) == [1]


@pytest.mark.parametrize("error", [EOFError, KeyError, ValueError, StopAsyncIteration, GeneratorExit])
def test_any_other_exception_fails_the_run(read, input_of, list_source, error):
    with pytest.raises(error):
        read(input_of(list_source([1, error("what happened"), 2])))


def test_items_before_a_failing_next_are_written(input_of, list_source):
    flow, out = Dataflow(), []
    flow.input("inp", input_of(list_source([1, 2, ValueError("no more")])))
    flow.map(lambda item: item * 10)
    flow.output("out", TestingOutput(out))
    with pytest.raises(ValueError, match="no more"):
        run_main(flow)
    assert out == [10, 20]


def test_each_partition_is_asked_once_a_round(read, parts, list_source):
    out = read(parts({name: list_source([name] * 3) for name in "abc"}))
    rounds = [out[i : i + 3] for i in range(0, 9, 3)]
    assert [sorted(names) for names in rounds] == [["a", "b", "c"]] * 3


def test_a_partition_that_ends_does_not_end_the_others(read, parts, list_source, entry_point):
    out = read(parts({"short": list_source([1]), "long": list_source(range(10, 20))}), run=entry_point)
    assert sorted(out) == [1, *range(10, 20)]


def test_an_item_has_left_before_the_next_call(read, input_of):
    """The next call may block: the item must not wait behind it."""
    out_when_asked = []

    class Slow(StatefulSource, StatelessSource):
        def __init__(self):
            self.number = 0

        def next(self):
            out_when_asked.append(list(out))
            if self.number == 3:
                raise StopIteration
            self.number += 1
            return self.number

        def snapshot(self):
            return self.number

    flow, out = Dataflow(), []
    flow.input("inp", input_of(Slow()))
    flow.output("out", TestingOutput(out))
    run_main(flow)
    assert out_when_asked[:4] == [[], [1], [1, 2], [1, 2, 3]]


def test_an_item_of_a_generator_has_left_before_the_next(read):
    seen = []

    def items():
        for item in range(3):
            seen.append(list(out))
            yield item
        seen.append(list(out))

    flow, out = Dataflow(), []
    flow.input("inp", TestingInput(items()))
    flow.output("out", TestingOutput(out))
    run_main(flow)
    assert seen == [[], [0], [0, 1], [0, 1, 2]]


# --- snapshot and close -------------------------------------------------------------------------------


def test_calls_of_a_partition_in_one_epoch(read, parts, list_source):
    calls = []
    read(parts({"a": list_source([1, 2], calls)}))
    assert calls == ["next", "next", "next", "snapshot", "close"]


def test_calls_of_a_partition_with_an_epoch_for_each_poll(read, parts, list_source):
    calls = []
    read(parts({"a": list_source([1, 2], calls)}), epoch_interval=EVERY_POLL)
    assert calls == ["next", "snapshot", "next", "snapshot", "next", "snapshot", "close"]


def test_calls_of_a_stateless_source(read, every_worker, list_source):
    calls = []
    read(every_worker(lambda index, count: list_source([1, 2], calls)))
    assert calls == ["next", "next", "next", "close"]


def test_close_is_called_once_a_source_when_that_one_ends(read, parts, list_source, entry_point):
    calls = {"a": [], "b": []}
    read(parts({name: list_source([1], calls[name]) for name in calls}), run=entry_point)
    assert [calls[name].count("close") for name in calls] == [1, 1]


@pytest.mark.parametrize("in_threads", [False, True])
def test_close_is_not_called_after_a_failure(read, parts, list_source, in_threads):
    calls = []
    source = list_source([1, ValueError("broken")], calls)
    with pytest.raises((ValueError, RuntimeError)):
        if in_threads:
            read(parts({"a": source}), run=lambda flow: cluster_main(flow, [], 0, worker_count_per_proc=2))
        else:
            read(parts({"a": source}))
    assert "close" not in calls


def test_a_snapshot_need_not_pickle(read, parts, list_source):
    class Unpicklable(list_source):
        def snapshot(self):
            return lambda: None

    assert read(parts({"a": Unpicklable([1, 2])}), epoch_interval=EVERY_POLL) == [1, 2]


@pytest.mark.parametrize("method", ["snapshot", "close"])
def test_an_exception_in_snapshot_or_close_fails_the_run(read, parts, list_source, method):
    def fail(self):
        raise ValueError("broken")

    phrase = {"snapshot": "error snapshotting input part", "close": "error closing input part"}[method]
    failing = type("Failing", (list_source,), {method: fail})
    with pytest.raises(ValueError, match=phrase) as caught:
        read(parts({"a": failing([1])}))
    assert "broken" in str(caught.value)


def test_an_exception_in_close_of_a_dynamic_source_fails_the_run(read, every_worker, list_source):
    class Failing(list_source):
        def close(self):
            raise ValueError("broken")

    with pytest.raises(ValueError, match=r"error closing source(.|\n)*broken"):
        read(every_worker(lambda index, count: Failing([1])))
