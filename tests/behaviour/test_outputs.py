"""What the engine asks of sinks, and when."""

from datetime import timedelta

import pytest

from bytewax.dataflow import Dataflow
from bytewax.outputs import (
    DynamicOutput,
    Output,
    PartitionedOutput,
    StatefulSink,
    StatelessSink,
)
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main


class NotingSink(StatefulSink, StatelessSink):
    def __init__(self, calls):
        self.calls = calls

    def write(self, item):
        self.calls.append(("write", item))

    def snapshot(self):
        self.calls.append("snapshot")
        return len(self.calls)

    def close(self):
        self.calls.append("close")


class ByKey(PartitionedOutput):
    """Partitions by name, each a sink; an item goes to the one named as its key begins."""

    def __init__(self, sinks):
        self.sinks = sinks

    def list_parts(self):
        return set(self.sinks)

    def assign_part(self, item_key):
        return item_key[0]

    def build_part(self, for_part, resume_state):
        return self.sinks[for_part]


class EveryWorker(DynamicOutput):
    def __init__(self, build):
        self.build_for = build

    def build(self, worker_index, worker_count):
        return self.build_for(worker_index, worker_count)


@pytest.fixture
def write():
    """Return a function that writes items, and returns what the step passes on."""

    def write(items, output, run=run_main, **kwargs):
        flow, passed_on = Dataflow(), []
        flow.input("inp", TestingInput(items))
        flow.output("out", output)
        flow.inspect(passed_on.append)
        run(flow, **kwargs)
        return passed_on

    return write


# --- the classes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "methods"),
    [
        (PartitionedOutput, ["list_parts", "assign_part", "build_part"]),
        (StatefulSink, ["write", "snapshot"]),
        (DynamicOutput, ["build"]),
        (StatelessSink, ["write"]),
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


def test_an_output_describes_itself_by_its_class():
    assert type("Mine", (Output,), {})().__json__() == {"type": "Mine"}


def test_a_bare_output_is_of_unknown_type(write):
    with pytest.raises(TypeError, match="unknown output type"):
        write([1], type("Bare", (Output,), {})())


# --- partitioned --------------------------------------------------------------------------------------


def test_a_partition_is_given_values_and_pairs_are_passed_on(write, entry_point):
    calls = {"a": [], "b": []}
    sinks = {name: NotingSink(calls[name]) for name in calls}
    items = [("a1", 1), ("b1", 2), ("a2", 3)]
    assert sorted(write(items, ByKey(sinks), run=entry_point)) == sorted(items)
    written = {name: sorted(call[1] for call in calls[name] if call[0] == "write") for name in calls}
    assert written == {"a": [1, 3], "b": [2]}


def test_pairs_are_passed_on_as_new_plain_tuples(write):
    class Pair(tuple):
        pass

    [out] = write([Pair(("a", 1))], ByKey({"a": NotingSink([])}))
    assert type(out) is tuple


def test_a_value_is_written_before_it_is_passed_on():
    calls, flow = [], Dataflow()
    flow.input("inp", TestingInput([("a", 1), ("a", 2)]))
    flow.output("out", ByKey({"a": NotingSink(calls)}))
    flow.inspect(lambda item: calls.append(("passed on", item[1])))
    flow.output("end", TestingOutput([]))
    run_main(flow)
    assert calls[:4] == [("write", 1), ("passed on", 1), ("write", 2), ("passed on", 2)]


@pytest.mark.parametrize("item", [1, "ab", ["a", 1], ("a", 1, 2)], ids=repr)
def test_a_partitioned_output_takes_nothing_but_two_tuples(write, item):
    with pytest.raises(TypeError) as caught:
        write([item], ByKey({"a": NotingSink([])}))
    assert "Dataflow requires a `(key, value)` 2-tuple as input" in str(caught.value)
    assert f"got `{item!r}` instead" in str(caught.value)


@pytest.mark.parametrize("key", [1, None, b"a"], ids=repr)
def test_a_partitioned_output_takes_no_key_but_a_str(write, key):
    with pytest.raises(TypeError, match="string or integer keys"):
        write([(key, 1)], ByKey({"a": NotingSink([])}))


def test_each_worker_lists_and_one_builds(entry_point, write):
    listed, built = [], []

    class Noting(ByKey):
        def list_parts(self):
            listed.append(1)
            return super().list_parts()

        def build_part(self, for_part, resume_state):
            built.append((for_part, resume_state))
            return super().build_part(for_part, resume_state)

    write([], Noting({name: NotingSink([]) for name in "cab"}), run=entry_point)
    assert len(listed) == entry_point.worker_count
    assert sorted(built) == [("a", None), ("b", None), ("c", None)]
    if not entry_point.in_threads:
        assert built == sorted(built)


@pytest.mark.parametrize("make", [set, frozenset, list, tuple, iter])
def test_partitions_may_be_any_iterable_of_str(write, make):
    class Some(ByKey):
        def list_parts(self):
            return make(["a", "b"])

    calls = []
    write([("a", 1), ("b", 2)], Some({"a": NotingSink(calls), "b": NotingSink(calls)}))
    assert [call for call in calls if call[0] == "write"] == [("write", 1), ("write", 2)]


@pytest.mark.parametrize("names", [None, 1, {1}, ["a", b"b"]], ids=repr)
def test_partitions_must_be_str(write, names):
    class Wrong(ByKey):
        def list_parts(self):
            return names

    with pytest.raises(TypeError, match="list_parts|output parts"):
        write([], Wrong({}))


@pytest.mark.parametrize("built", [None, 1, object()], ids=["None", "int", "object"])
def test_a_partition_must_be_a_stateful_sink(write, built):
    with pytest.raises(TypeError, match=r"stateful sink must subclass `bytewax\.outputs\.StatefulSink`"):
        write([], ByKey({"a": built}))


def test_a_partition_that_is_not_listed_is_an_error(write):
    with pytest.raises(RuntimeError) as caught:
        write([("xyz", 1)], ByKey({"a": NotingSink([])}))
    text = str(caught.value)
    assert "inconsistent `assign_part`?" in text
    assert "'xyz'" in text or "`xyz`" in text or '"xyz"' in text
    assert "'x'" in text or "`x`" in text or '"x"' in text


@pytest.mark.parametrize("name", [None, 1, b"a"], ids=repr)
def test_assign_part_must_return_a_str(write, name):
    class Wrong(ByKey):
        def assign_part(self, item_key):
            return name

    with pytest.raises(TypeError, match="assign_part"):
        write([("a", 1)], Wrong({"a": NotingSink([])}))


def test_assign_part_is_looked_up_once(write):
    class Counting(ByKey):
        looked_up = 0

        @property
        def assign_part(self):
            type(self).looked_up += 1
            return lambda key: "a"

    write([("a", 1), ("a", 2)], Counting({"a": NotingSink([])}))
    assert Counting.looked_up == 1


def test_calls_of_a_partition_in_one_epoch(write):
    calls = []
    write([("a", 1), ("a", 2)], ByKey({"a": NotingSink(calls)}))
    assert calls == [("write", 1), ("write", 2), "snapshot", "close"]


def test_calls_of_a_partition_with_an_epoch_for_each_poll(write):
    calls = []
    write([("a", 1), ("a", 2)], ByKey({"a": NotingSink(calls)}), epoch_interval=timedelta(0))
    assert calls == [("write", 1), "snapshot", ("write", 2), "snapshot", "close"]


def test_every_partition_of_a_worker_that_got_an_item_is_snapshotted(write):
    calls = {"a": [], "b": []}
    write([("a", 1)], ByKey({name: NotingSink(calls[name]) for name in calls}))
    assert calls == {"a": [("write", 1), "snapshot", "close"], "b": ["snapshot", "close"]}


def test_without_items_a_partition_is_only_closed(write, entry_point):
    calls = []
    write([], ByKey({"a": NotingSink(calls)}), run=entry_point)
    assert calls == ["close"]


def test_a_snapshot_need_not_pickle(write):
    class Unpicklable(NotingSink):
        def snapshot(self):
            return lambda: None

    assert write([("a", 1)], ByKey({"a": Unpicklable([])}), epoch_interval=timedelta(0)) == [("a", 1)]


# --- dynamic ------------------------------------------------------------------------------------------


def test_every_worker_builds_its_own_sink(write, entry_point):
    built = []

    def build(index, count):
        built.append((index, count))
        return NotingSink([])

    write([1], EveryWorker(build), run=entry_point)
    count = entry_point.worker_count
    assert sorted(built) == [(index, count) for index in range(count)]


@pytest.mark.parametrize("built", [None, 1, object()], ids=["None", "int", "object"])
def test_a_dynamic_output_must_build_a_stateless_sink(write, built):
    with pytest.raises(TypeError, match=r"stateless sink must subclass `bytewax\.outputs\.StatelessSink`"):
        write([], EveryWorker(lambda index, count: built))


def test_a_dynamic_sink_is_given_whole_items_and_closed_once(write):
    calls = []
    write([("a", 1), 2, None, [3]], EveryWorker(lambda index, count: NotingSink(calls)))
    assert calls == [("write", ("a", 1)), ("write", 2), ("write", [3]), "close"]


def test_items_are_written_where_they_are(write, every_worker, list_source, entry_point):
    calls = [[] for _ in range(entry_point.worker_count)]
    flow = Dataflow()
    flow.input("inp", every_worker(lambda index, count: list_source([index] * 3)))
    flow.output("out", EveryWorker(lambda index, count: NotingSink(calls[index])))
    entry_point(flow)
    for index in range(entry_point.worker_count):
        assert calls[index] == [("write", index)] * 3 + ["close"]


def test_all_workers_close_their_sinks(write, entry_point):
    calls = []
    write([], EveryWorker(lambda index, count: NotingSink(calls)), run=entry_point)
    assert calls == ["close"] * entry_point.worker_count


# --- failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["partitioned", "dynamic"])
@pytest.mark.parametrize("in_threads", [False, True])
def test_a_sink_is_not_closed_after_a_failure(write, kind, in_threads):
    calls = []

    class Failing(NotingSink):
        def write(self, item):
            raise ValueError("broken")

    output = ByKey({"a": Failing(calls)}) if kind == "partitioned" else EveryWorker(lambda i, n: Failing(calls))
    run = (lambda flow: cluster_main(flow, [], 0, worker_count_per_proc=2)) if in_threads else run_main
    with pytest.raises((ValueError, RuntimeError)):
        write([("a", 1)], output, run=run)
    assert calls == []


@pytest.mark.parametrize("method", ["write", "snapshot", "close"])
def test_an_exception_in_a_partitioned_sink_fails_the_run(write, method):
    def fail(self, *args):
        raise ValueError("broken")

    failing = type("Failing", (NotingSink,), {method: fail})
    with pytest.raises(ValueError, match="broken"):
        write([("a", 1)], ByKey({"a": failing([])}))


@pytest.mark.parametrize("method", ["write", "close"])
def test_an_exception_in_a_dynamic_sink_fails_the_run(write, method):
    def fail(self, *args):
        raise ValueError("broken")

    failing = type("Failing", (NotingSink,), {method: fail})
    with pytest.raises(ValueError, match="broken"):
        write([("a", 1)], EveryWorker(lambda index, count: failing([])))


def test_items_before_a_failing_write_are_written(write):
    written = []

    class Picky(NotingSink):
        def write(self, item):
            if item == 3:
                raise ValueError("no three")
            written.append(item)

    with pytest.raises(ValueError, match="no three"):
        write([1, 2, 3, 4], EveryWorker(lambda index, count: Picky([])))
    assert written == [1, 2]
