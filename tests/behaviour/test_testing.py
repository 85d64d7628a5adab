"""The helpers of bytewax.testing."""

import contextlib
import doctest
import io
import threading
from collections import deque
from datetime import timedelta
from itertools import count

import pytest

import bytewax.dataflow
import bytewax.inputs
import bytewax.parse
import bytewax.testing
from bytewax.dataflow import Dataflow
from bytewax.inputs import StatefulSource
from bytewax.testing import TestingInput, TestingOutput, doctest_ctx, poll_next, run_main
from bytewax.testing import test_print as print_at_once


def drain(source):
    items = []
    with pytest.raises(StopIteration):
        while True:
            items.append(source.next())
    return items


# --- TestingInput and TestingOutput -------------------------------------------------------------------


@pytest.mark.parametrize("helper", [TestingInput, TestingOutput])
def test_helpers_are_no_tests(helper):
    assert helper.__test__ is False


def test_a_testing_input_has_one_partition():
    assert set(TestingInput([]).list_parts()) == {"iter"}
    with pytest.raises(AssertionError):
        TestingInput([]).build_part("other", None)


@pytest.mark.parametrize("make", [list, tuple, range, iter, lambda items: (item for item in items), dict.fromkeys])
def test_a_testing_input_iterates_anything(collect, make):
    items = make(3) if make is range else make([0, 1, 2])
    assert collect(items) == [0, 1, 2]


def test_the_position_is_the_index_of_the_last_item_read():
    source = TestingInput("abc").build_part("iter", None)
    assert isinstance(source, StatefulSource)
    assert source.snapshot() == -1
    for index, item in enumerate("abc"):
        assert poll_next(source) == item
        assert source.snapshot() == index
    with pytest.raises(StopIteration):
        source.next()
    assert source.snapshot() == 2
    assert source.close() is None


@pytest.mark.parametrize("make", [list, iter], ids=["list", "iterator"])
@pytest.mark.parametrize("position", [-1, 0, 1, 2, 3])
def test_reading_resumes_after_the_position(make, position):
    source = TestingInput(make(range(10, 14))).build_part("iter", position)
    assert source.snapshot() == position
    assert drain(source) == list(range(11 + position, 14))


def test_resuming_past_the_end_is_a_stop_iteration():
    with pytest.raises(StopIteration):
        TestingInput([1, 2]).build_part("iter", 2)


def test_resuming_reads_what_it_skips_and_no_more():
    numbers = count()
    source = TestingInput(numbers).build_part("iter", 4)
    assert next(numbers) == 5
    assert source.next() == 6


def test_a_list_is_read_as_it_is_when_its_turn_comes():
    items, out = [1], []
    flow = Dataflow()
    flow.input("inp", TestingInput(items))
    flow.output("out", TestingOutput(out))
    run_main(flow)
    items.append(2)
    run_main(flow)
    assert out == [1, 1, 2]


def test_only_the_owner_iterates(entry_point):
    iterated = []

    class Items:
        def __iter__(self):
            iterated.append(threading.current_thread())
            return iter([1, 2])

    flow, out = Dataflow(), []
    flow.input("inp", TestingInput(Items()))
    flow.output("out", TestingOutput(out))
    entry_point(flow)
    assert len(iterated) == 1
    assert sorted(out) == [1, 2]


def test_a_testing_output_appends_to_anything(entry_point):
    class Noting:
        def __init__(self):
            self.items = []

        def append(self, item):
            self.items.append(item)

    for target, items in [(noting := Noting(), noting.items), (queue := deque(), queue)]:
        flow = Dataflow()
        flow.input("inp", TestingInput(range(3)))
        flow.output("out", TestingOutput(target))
        entry_point(flow)
        assert sorted(items) == [0, 1, 2]


def test_a_subclass_of_list_may_append_in_its_own_way():
    class Doubling(list):
        def append(self, item):
            super().append(item)
            super().append(item)

    flow, out = Dataflow(), Doubling()
    flow.input("inp", TestingInput([1, 2]))
    flow.output("out", TestingOutput(out))
    run_main(flow)
    assert out == [1, 1, 2, 2]


def test_what_append_raises_fails_the_run():
    class Full:
        def append(self, item):
            raise OverflowError("full")

    flow = Dataflow()
    flow.input("inp", TestingInput([1]))
    flow.output("out", TestingOutput(Full()))
    with pytest.raises(OverflowError, match="error writing to dynamic output"):
        run_main(flow)


# --- poll_next ----------------------------------------------------------------------------------------


def test_poll_next_asks_until_there_is_something(list_source):
    assert poll_next(list_source([None, None, None, 7])) == 7
    assert poll_next(list_source([0])) == 0


def test_poll_next_gives_up(list_source):
    class Empty(list_source):
        def next(self):
            return None

    with pytest.raises(TimeoutError):
        poll_next(Empty([]), timeout=timedelta(milliseconds=5))


def test_poll_next_says_when_a_source_is_finished(list_source):
    with pytest.raises(StopIteration):
        poll_next(list_source([]))


# --- doctest_ctx and test_print -----------------------------------------------------------------------


def test_doctest_ctx_is_multiprocessing_in_threads():
    done = []
    process = doctest_ctx.Process(target=lambda: done.append(threading.current_thread()))
    process.start()
    process.join()
    assert done != [threading.current_thread()]
    with doctest_ctx.Manager() as manager:
        assert manager is doctest_ctx
        assert manager.list([1]) == [1]
        assert manager.dict(a=1) == {"a": 1}
    with doctest_ctx.Pool(2) as pool:
        assert pool.map(abs, [-1, 2]) == [1, 2]


def test_doctest_ctx_leaves_multiprocessing_alone():
    import multiprocessing.dummy

    assert doctest_ctx.Manager is not multiprocessing.dummy.Manager


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_such"):
        bytewax.testing.nothing_such  # noqa: B018


def test_test_print_prints_and_flushes():
    flushed = []

    class Noting(io.StringIO):
        def flush(self):
            flushed.append(self.getvalue())

    with contextlib.redirect_stdout(Noting()) as target:
        print_at_once("a", 1, sep="-")
    assert target.getvalue() == "a-1\n"
    assert flushed == ["a-1\n"]
    other = io.StringIO()
    print_at_once("b", end="", file=other)
    assert other.getvalue() == "b"


@pytest.mark.parametrize("module", [bytewax.dataflow, bytewax.inputs, bytewax.parse], ids=lambda m: m.__name__)
def test_examples_of_the_docstrings_are_right(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
