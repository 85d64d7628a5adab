"""What each operator does with items, on one worker unless it matters."""

import functools
from collections import namedtuple

import pytest

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main


class Text(str):
    pass


Pair = namedtuple("Pair", ["key", "value"])


def stateful(flow):
    flow.stateful_map("keyed", lambda: None, lambda state, value: (state, value))


def reducing(flow):
    flow.reduce("keyed", lambda total, value: value, lambda total: True)


KEYED = [stateful, reducing]


# --- stateless ---------------------------------------------------------------------------------------


def test_map_emits_what_the_mapper_returns(collect, entry_point):
    out = collect(range(5), lambda flow: flow.map(lambda item: item * 10), run=entry_point)
    assert sorted(out) == [0, 10, 20, 30, 40]


def test_map_emits_none(collect):
    assert collect([1, 2], lambda flow: flow.map(lambda item: None)) == [None, None]


@pytest.mark.parametrize(
    ("iterable", "products"),
    [
        ([1, 2], [1, 2]),
        ((1, 2), [1, 2]),
        ({1: "a", 2: "b"}, [1, 2]),
        ("ab", ["a", "b"]),
        (range(2), [0, 1]),
        ([], []),
        ([None], [None]),
        ({7}, [7]),
    ],
    ids=repr,
)
def test_flat_map_emits_each_element_in_order(collect, iterable, products):
    assert collect([0, 0], lambda flow: flow.flat_map(lambda item: iterable)) == products * 2


def test_flat_map_drains_a_generator(collect):
    def pieces(item):
        for i in range(item):
            yield (item, i)

    assert collect([2, 0, 1], lambda flow: flow.flat_map(pieces)) == [(2, 0), (2, 1), (1, 0)]


@pytest.mark.parametrize("result", [None, 1], ids=repr)
def test_flat_map_of_what_is_not_iterable_is_a_type_error(collect, result):
    with pytest.raises(TypeError, match=f"'{type(result).__name__}' object is not iterable"):
        collect([0], lambda flow: flow.flat_map(lambda item: result))


def test_flat_map_drains_an_iterator_before_the_next_step_sees_it(collect):
    calls = []

    def pieces(item):
        for piece in range(2):
            calls.append(("made", item, piece))
            yield (item, piece)

    collect(
        [0, 1],
        lambda flow: flow.flat_map(pieces),
        lambda flow: flow.inspect(lambda item: calls.append(("seen", *item))),
    )
    of_item = [[("made", item, 0), ("made", item, 1), ("seen", item, 0), ("seen", item, 1)] for item in (0, 1)]
    assert calls == of_item[0] + of_item[1]


def test_flat_map_raises_what_the_iterator_raises(collect):
    class Odd(Exception):
        def __init__(self, a, b):
            super().__init__(a, b)

    def pieces(item):
        yield 1
        raise Odd("a", "b")

    with pytest.raises(Odd) as caught:
        collect([0], lambda flow: flow.flat_map(pieces))
    assert caught.value.args == ("a", "b")


def test_filter_keeps_where_the_predicate_is_true(collect):
    assert collect(range(6), lambda flow: flow.filter(lambda item: item % 2 == 0)) == [0, 2, 4]


@pytest.mark.parametrize("result", [1, 0, None, "yes", [], 0.0], ids=repr)
def test_filter_takes_nothing_but_a_bool(collect, result):
    with pytest.raises(TypeError) as caught:
        collect([5], lambda flow: flow.filter(lambda item: result))
    phrase = f"return value of `predicate` in filter operator must be a bool; got `{result!r}` instead"
    assert phrase in str(caught.value)


def test_filter_map_drops_none_and_nothing_else(collect):
    falsy = [0, "", [], False, 0.0, ()]
    out = collect(range(7), lambda flow: flow.filter_map(lambda item: [*falsy, None][item]))
    assert out == falsy


def test_inspect_passes_on_the_same_object_and_ignores_what_it_is_told(collect):
    item, seen = object(), []
    out = collect([item], lambda flow: flow.inspect(lambda item: seen.append(item) or False))
    assert out[0] is item
    assert seen[0] is item


def test_inspect_epoch_is_given_epoch_and_item(collect):
    seen = []
    out = collect(["a", "b"], lambda flow: flow.inspect_epoch(lambda epoch, item: seen.append((epoch, item))))
    assert out == ["a", "b"]
    assert seen == [(0, "a"), (0, "b")]


def test_what_inspect_changes_is_seen_downstream(collect, entry_point):
    assert collect([[1]], lambda flow: flow.inspect(lambda item: item.append(2)), run=entry_point) == [[1, 2]]


def test_an_item_goes_through_all_steps_before_the_next_is_polled(collect):
    calls = []

    def items():
        for item in range(3):
            calls.append(("polled", item))
            yield item

    collect(
        items(),
        lambda flow: flow.inspect(lambda item: calls.append(("first", item))),
        lambda flow: flow.inspect(lambda item: calls.append(("last", item))),
    )
    assert calls == [(what, item) for item in range(3) for what in ("polled", "first", "last")]


def test_an_item_goes_through_all_steps_before_the_next_of_a_list(collect):
    calls = []
    collect(
        range(3),
        lambda flow: flow.inspect(lambda item: calls.append(("first", item))),
        lambda flow: flow.map(lambda item: item),
        lambda flow: flow.inspect(lambda item: calls.append(("last", item))),
    )
    assert calls == [(what, item) for item in range(3) for what in ("first", "last")]


@pytest.mark.parametrize(
    ("mapper", "result"),
    [
        (str, "3"),
        (hex, "0x3"),
        (functools.partial(max, 5), 5),
        ((10).__add__, 13),
        (int.bit_length, 2),
        (type("Callable", (), {"__call__": lambda self, item: -item})(), -3),
    ],
    ids=repr,
)
def test_any_callable_is_called(collect, mapper, result):
    assert collect([3], lambda flow: flow.map(mapper)) == [result]


# --- keyed: shape and key -----------------------------------------------------------------------------


@pytest.mark.parametrize("add_step", KEYED)
@pytest.mark.parametrize("item", [1, "ab", ["a", 1], ("a",), ("a", 1, 2), (), {"a": 1}, {"a", "b"}], ids=repr)
def test_a_keyed_step_takes_nothing_but_two_tuples(collect, add_step, item):
    with pytest.raises(TypeError) as caught:
        collect([item], add_step)
    phrase = "Dataflow requires a `(key, value)` 2-tuple as input to every stateful operator for routing; got "
    assert phrase + f"`{item!r}` instead" in str(caught.value)


@pytest.mark.parametrize("add_step", KEYED)
def test_a_named_tuple_is_a_tuple(collect, add_step):
    out = collect([Pair("a", 1)], add_step)
    assert out == [("a", 1)]
    assert type(out[0]) is tuple


@pytest.mark.parametrize("add_step", KEYED)
@pytest.mark.parametrize("key", [1, b"a", None, 1.5, ("a",), "\ud800"], ids=ascii)
def test_a_key_must_be_a_str_of_unicode(collect, add_step, key):
    with pytest.raises(TypeError) as caught:
        collect([(key, 1)], add_step)
    phrase = "Stateful logic functions must return string or integer keys in `(key, value)`; got "
    assert phrase + f"`{key!r}` instead" in str(caught.value)


def test_a_key_that_is_a_dict_is_shown(collect):
    with pytest.raises(TypeError, match="string or integer keys.*got `{'a': 1}` instead"):
        collect([({"a": 1}, 1)], stateful)


@pytest.mark.parametrize("add_step", KEYED)
@pytest.mark.parametrize("key", ["", "a", "\u00e9", "\u6f22\u5b57", "\U0001f600", "a\0b"], ids=ascii)
def test_any_text_is_a_key(collect, add_step, key):
    assert collect([(key, 1)], add_step) == [(key, 1)]


@pytest.mark.parametrize("add_step", KEYED)
def test_a_key_comes_out_as_a_plain_str(collect, add_step):
    [(key, value)] = collect([(Text("a"), 1)], add_step)
    assert type(key) is str
    assert (key, value) == ("a", 1)


def test_keys_that_are_equal_share_state(collect):
    def count(flow):
        flow.stateful_map("count", int, lambda count, value: (count + 1, count + 1))

    keys = ["ab", Text("ab"), "".join(["a", "b"])]
    assert collect([(key, 0) for key in keys], count) == [("ab", 1), ("ab", 2), ("ab", 3)]


@pytest.mark.parametrize("add_step", KEYED)
def test_a_value_stays_the_same_object(collect, add_step, entry_point):
    value = object()
    [(_, out)] = collect([("a", value)], add_step, run=entry_point)
    assert out is value


def test_items_before_one_of_wrong_shape_are_written():
    flow, out = Dataflow(), []
    flow.input("inp", TestingInput([("a", 1), ("b", 2), "no pair", ("c", 3)]))
    stateful(flow)
    flow.output("out", TestingOutput(out))
    with pytest.raises(TypeError):
        run_main(flow)
    assert out == [("a", 1), ("b", 2)]


# --- reduce -------------------------------------------------------------------------------------------


def test_reduce_begins_with_the_first_value_and_emits_when_complete(collect, entry_point):
    items = [("a", 1), ("b", 10), ("a", 2), ("a", 3), ("b", 20), ("a", 4)]
    calls = []

    def add_step(flow):
        def add(total, value):
            calls.append((total, value))
            return total + value

        flow.reduce("sum", add, lambda total: total in (6, 30))

    out = collect(items, add_step)
    assert out == [("a", 6), ("b", 30)]
    assert calls == [(1, 2), (3, 3), (10, 20)]  # neither for a first value nor with an emitted total


def test_reduce_asks_after_the_first_value_too(collect):
    asked = []

    def is_complete(total):
        asked.append(total)
        return True

    out = collect([("a", 1), ("a", 2)], lambda flow: flow.reduce("r", lambda x, y: x + y, is_complete))
    assert out == [("a", 1), ("a", 2)]
    assert asked == [1, 2]


def test_reduce_does_not_emit_what_is_incomplete_at_the_end(collect, entry_point):
    assert collect([("a", 1)], lambda flow: flow.reduce("r", max, lambda top: False), run=entry_point) == []


def test_reduce_takes_none_as_a_value(collect):
    calls = []

    def reducer(total, value):
        calls.append((total, value))
        return value

    add_step = [lambda flow: flow.reduce("r", reducer, lambda total: total == "end")]
    assert collect([("a", None), ("a", None), ("a", "end")], *add_step) == [("a", "end")]
    assert calls == [(None, None), (None, "end")]


def test_reduce_can_emit_none(collect):
    add_step = [lambda flow: flow.reduce("r", max, lambda total: total is None)]
    assert collect([("a", None)], *add_step) == [("a", None)]


@pytest.mark.parametrize("result", [1, 0, None, "yes"], ids=repr)
def test_is_complete_must_return_a_bool(collect, result):
    with pytest.raises(TypeError) as caught:
        collect([("a", 1)], lambda flow: flow.reduce("r", max, lambda total: result))
    phrase = f"return value of `is_complete` in reduce operator must be a bool; got `{result!r}` instead"
    assert phrase in str(caught.value)


# --- stateful_map -------------------------------------------------------------------------------------


def test_stateful_map_keeps_a_state_for_each_key(collect):
    def add_step(flow):
        flow.stateful_map("total", int, lambda total, value: (total + value, total + value))

    items = [("a", 1), ("b", 10), ("a", 2), ("b", 20)]
    assert collect(items, add_step) == [("a", 1), ("b", 10), ("a", 3), ("b", 30)]


def test_stateful_map_finds_the_state_of_a_key_on_every_worker(collect, entry_point):
    def add_step(flow):
        flow.stateful_map("count", int, lambda count, value: (count + 1, count + 1))

    keys = [f"key-{i}" for i in range(20)]
    out = collect([(key, None) for _ in range(5) for key in keys], add_step, run=entry_point)
    assert sorted(out) == sorted((key, count) for key in keys for count in range(1, 6))


def test_builder_is_called_with_nothing_and_once_a_key(collect):
    calls = []

    def builder():
        calls.append("built")
        return 0

    def add_step(flow):
        flow.stateful_map("s", builder, lambda state, value: (state, value))

    collect([("a", 1), ("a", 2), ("b", 3)], add_step)
    assert calls == ["built", "built"]


def test_a_builder_that_wants_an_argument_is_a_type_error(collect):
    with pytest.raises(TypeError):
        collect([("a", 1)], lambda flow: flow.stateful_map("s", lambda key: 0, lambda state, value: (state, value)))


def test_the_first_state_may_be_none(collect):
    seen = []

    def mapper(state, value):
        seen.append(state)
        return "set", value

    collect([("a", 1), ("a", 2)], lambda flow: flow.stateful_map("s", lambda: None, mapper))
    assert seen == [None, "set"]


def test_a_state_of_none_is_forgotten(collect):
    def mapper(state, value):
        state.append(value)
        return (None if value == "forget" else state), list(state)

    out = collect([("a", 1), ("a", "forget"), ("a", 2)], lambda flow: flow.stateful_map("s", list, mapper))
    assert out == [("a", [1]), ("a", [1, "forget"]), ("a", [2])]


def test_stateful_map_emits_one_item_for_each_even_none(collect):
    out = collect([("a", 1)], lambda flow: flow.stateful_map("s", int, lambda state, value: (state, None)))
    assert out == [("a", None)]


@pytest.mark.parametrize("result", [None, 1, [1, 2], (1,), (1, 2, 3), "ab", {1: 2}], ids=repr)
def test_stateful_map_takes_nothing_but_a_two_tuple(collect, result):
    with pytest.raises(TypeError) as caught:
        collect([("a", 1)], lambda flow: flow.stateful_map("s", int, lambda state, value: result))
    phrase = (
        "return value of `mapper` in stateful map operator must be a 2-tuple of `(updated_state, updated_value)`; "
        f"got `{result!r}` instead"
    )
    assert phrase in str(caught.value)


def test_state_need_not_pickle(collect):
    import threading

    def mapper(lock, value):
        with lock:
            return lock, value

    assert collect([("a", 1), ("a", 2)], lambda flow: flow.stateful_map("s", threading.Lock, mapper)) == [
        ("a", 1),
        ("a", 2),
    ]


def test_order_of_a_key_is_kept(collect, entry_point, every_worker, list_source):
    """For items that come from one worker: those of a dynamic input stay on it."""
    out, flow = [], Dataflow()
    items = [("k", number) for number in range(100)]
    flow.input("inp", every_worker(lambda index, count: list_source(items if index == 0 else [])))
    flow.stateful_map("s", list, lambda seen, value: (seen + [value], value))
    flow.output("out", TestingOutput(out))
    entry_point(flow)
    assert out == items


# --- input and output as steps ------------------------------------------------------------------------


def test_steps_before_the_first_input_see_nothing(entry_point):
    flow, out, seen = Dataflow(), [], []
    flow.map(seen.append)
    flow.stateful_map("s", seen.append, seen.append)
    flow.output("early", TestingOutput(seen))
    flow.input("inp", TestingInput([1]))
    flow.output("out", TestingOutput(out))
    entry_point(flow)
    assert (out, seen) == ([1], [])


def test_a_later_input_replaces_the_stream(entry_point):
    flow, first, between, last = Dataflow(), [], [], []
    flow.input("one", TestingInput([1, 2]))
    flow.map(lambda item: item * 10)
    flow.inspect(between.append)
    flow.output("first", TestingOutput(first))
    flow.input("two", TestingInput(["a", "b"]))
    flow.output("last", TestingOutput(last))
    entry_point(flow)
    assert sorted(first) == [10, 20]
    assert sorted(between) == [10, 20]
    assert sorted(last) == ["a", "b"]


def test_an_input_that_is_replaced_at_once_is_read_all_the_same():
    read = []

    def items():
        for item in range(3):
            read.append(item)
            yield item

    flow, out = Dataflow(), []
    flow.input("one", TestingInput(items()))
    flow.input("two", TestingInput(["a"]))
    flow.output("out", TestingOutput(out))
    run_main(flow)
    assert (read, out) == ([0, 1, 2], ["a"])


def test_output_passes_items_on(entry_point):
    flow, first, second = Dataflow(), [], []
    flow.input("inp", TestingInput([1, 2, 3]))
    flow.output("first", TestingOutput(first))
    flow.map(lambda item: item * 10)
    flow.output("second", TestingOutput(second))
    entry_point(flow)
    assert sorted(first) == [1, 2, 3]
    assert sorted(second) == [10, 20, 30]


def test_a_sink_writes_before_the_item_goes_on():
    flow, calls = Dataflow(), []
    flow.input("inp", TestingInput([1, 2]))
    flow.output("first", TestingOutput(calls))
    flow.map(lambda item: -item)
    flow.output("second", TestingOutput(calls))
    run_main(flow)
    assert calls == [1, -1, 2, -2]


def test_steps_may_follow_the_last_output():
    flow, out, seen = Dataflow(), [], []
    flow.input("inp", TestingInput([1]))
    flow.output("out", TestingOutput(out))
    flow.inspect(seen.append)
    run_main(flow)
    assert (out, seen) == ([1], [1])
