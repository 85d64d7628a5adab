"""Random linear dataflows over random items, against a reference in plain Python."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicInput, PartitionedInput, StatefulSource, StatelessSource
from bytewax.outputs import PartitionedOutput, StatefulSink
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main

# A step is (name, argument). Items are ints until a step keys them; `rekey` may then change the key.
STATELESS = ["double", "drop_odd", "drop_none", "repeat", "repeat_lazily", "look"]


class Failed(Exception):
    pass


def keyed_or_not(function):
    """Apply a function of an int to an item, which may be `(key, int)`."""

    def apply(item):
        return (item[0], function(item[1])) if isinstance(item, tuple) else function(item)

    return apply


def value_of(item):
    return item[1] if isinstance(item, tuple) else item


double = keyed_or_not(lambda value: value * 2)


def keep_even(item):
    return value_of(item) % 2 == 0


def drop_multiple_of_three(item):
    return None if value_of(item) % 3 == 0 else item


def repeat(item):
    return [item] * (value_of(item) % 4)


def repeat_lazily(item):
    return (item for _ in range(value_of(item) % 4))


def key(item):
    return str(value_of(item) % 3), value_of(item)


def add(state, value):
    """Forget the key at every fifth value, so that states come and go."""
    return (None if value % 5 == 0 else state + value), state + value


def fail_at(limit):
    def check(item):
        if value_of(item) >= limit:
            raise Failed(item)
        return item

    return check


def add_step(flow, name, argument):
    match name:
        case "double":
            flow.map(double)
        case "drop_odd":
            flow.filter(keep_even)
        case "drop_none":
            flow.filter_map(drop_multiple_of_three)
        case "repeat":
            flow.flat_map(repeat)
        case "repeat_lazily":
            flow.flat_map(repeat_lazily)
        case "look":
            flow.inspect(lambda item: item)
        case "fail":
            flow.map(fail_at(argument))
        case "stateful_map":
            flow.map(key)
            flow.stateful_map("sum", lambda: 0, add)
        case "reduce":
            flow.map(key)
            flow.reduce("join", lambda total, value: total + value, lambda total: total >= argument)


def make_step(name, argument):
    """Return what one item becomes in a step: a function of the item that yields."""
    state = {}

    def stateful_map(item):
        k, value = key(item)
        new, out = add(state.get(k, 0), value)
        state.pop(k, None) if new is None else state.__setitem__(k, new)
        yield (k, out)

    def reduce(item):
        k, value = key(item)
        state[k] = state[k] + value if k in state else value
        if state[k] >= argument:
            yield (k, state.pop(k))

    def keep(item):
        if drop_multiple_of_three(item) is not None:
            yield item

    return {
        "double": lambda item: [double(item)],
        "drop_odd": lambda item: [item] if keep_even(item) else [],
        "drop_none": keep,
        "repeat": repeat,
        "repeat_lazily": repeat_lazily,
        "look": lambda item: [item],
        "fail": lambda item: [fail_at(argument)(item)],
        "stateful_map": stateful_map,
        "reduce": reduce,
    }[name]


def reference(items, steps):
    """Return what one worker writes, and the item that a step failed at or None."""
    functions = [make_step(*step) for step in steps]
    written = []

    def run(item, at):
        if at == len(functions):
            written.append(item)
            return
        for product in functions[at](item):
            run(product, at + 1)

    try:
        for item in items:
            run(item, 0)
    except Failed as ex:
        return written, ex.args[0]
    return written, None


class SlowSource(StatefulSource, StatelessSource):
    """A source in Python, which has nothing every now and then."""

    def __init__(self, items):
        self.items = iter(items)
        self.polls = 0

    def next(self):
        self.polls += 1
        return None if self.polls % 3 == 0 else next(self.items)

    def snapshot(self):
        return self.polls


class SlowInput(PartitionedInput):
    def __init__(self, items):
        self.items = items

    def list_parts(self):
        return {"one"}

    def build_part(self, for_part, resume_state):
        return SlowSource(self.items)


class EveryWorkersInput(DynamicInput):
    """Every worker reads its share."""

    def __init__(self, items):
        self.items = items

    def build(self, worker_index, worker_count):
        return SlowSource(self.items[worker_index::worker_count])


class PartSink(StatefulSink):
    def __init__(self, out):
        self.out = out

    def write(self, value):
        self.out.append(value)

    def snapshot(self):
        return len(self.out)


class PartsOutput(PartitionedOutput):
    def __init__(self, outs):
        self.outs = outs

    def list_parts(self):
        return set(self.outs)

    def assign_part(self, item_key):
        return item_key

    def build_part(self, for_part, resume_state):
        return PartSink(self.outs[for_part])


ints = st.integers(min_value=0, max_value=60)
stateless_steps = st.sampled_from(STATELESS).map(lambda name: (name, None))
keyed_steps = st.one_of(st.just(("stateful_map", None)), st.tuples(st.just("reduce"), st.integers(1, 100)))
flows = st.lists(st.one_of(stateless_steps, stateless_steps, keyed_steps), max_size=6)
common = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@common
@given(items=st.lists(ints, max_size=80), steps=flows, source=st.sampled_from([TestingInput, SlowInput]))
def test_one_worker_writes_what_the_reference_writes_in_its_order(items, steps, source):
    out = []
    flow = Dataflow()
    flow.input("inp", source(items))
    for step in steps:
        add_step(flow, *step)
    flow.output("out", TestingOutput(out))
    run_main(flow)
    assert out == reference(items, steps)[0]


@common
@given(items=st.lists(ints, max_size=60), before=flows, after=flows, limit=st.integers(0, 70))
def test_items_before_the_one_that_failed_are_written(items, before, after, limit):
    steps = [*before, ("fail", limit), *after]
    written, culprit = reference(items, steps)
    out = []
    flow = Dataflow()
    flow.input("inp", TestingInput(items))
    for step in steps:
        add_step(flow, *step)
    flow.output("out", TestingOutput(out))
    if culprit is None:
        run_main(flow)
    else:
        with pytest.raises(Failed, match="error calling `map` mapper") as raised:
            run_main(flow)
        assert raised.value.__cause__.args == (culprit,)
    assert out == written


@settings(common, max_examples=60)
@given(
    items=st.lists(ints, max_size=80),
    before=st.lists(stateless_steps, max_size=3),
    after=st.lists(stateless_steps, max_size=3),
    workers=st.integers(1, 4),
    source=st.sampled_from([TestingInput, SlowInput, EveryWorkersInput]),
)
def test_many_workers_write_what_one_does_in_any_order(items, before, after, workers, source):
    # Sums of integers: the same whatever the order of the items, at the last value of each key.
    steps = [*before, ("key", None), *after]
    out, outs = [], {str(i): [] for i in range(3)}
    flow = Dataflow()
    flow.input("inp", source(items))
    for step in before:
        add_step(flow, *step)
    flow.map(key)
    flow.stateful_map("count", lambda: 0, lambda count, value: (count + 1, value))
    for step in after:
        add_step(flow, *step)
    flow.output("out", PartsOutput(outs))
    flow.output("all", TestingOutput(out))
    cluster_main(flow, [], 0, worker_count_per_proc=workers)
    keyed = [key(item) for item in reference(items, before)[0]]
    expected = reference(keyed, after)[0]
    assert Counter(out) == Counter(expected), steps
    assert {part: Counter(values) for part, values in outs.items()} == {
        part: Counter(value for k, value in expected if k == part) for part in outs
    }


@settings(common, max_examples=40)
@given(counts=st.lists(st.integers(0, 200), min_size=1, max_size=3), workers=st.integers(1, 4))
def test_values_of_a_key_from_one_partition_stay_in_order(counts, workers):
    class Numbers(PartitionedInput):
        def list_parts(self):
            return {str(i) for i in range(len(counts))}

        def build_part(self, for_part, resume_state):
            return SlowSource((for_part, i) for i in range(counts[int(for_part)]))

    seen = {}
    flow = Dataflow()
    flow.input("inp", Numbers())
    if workers <= len(counts):  # else items are dealt out, and workers overtake each other
        flow.map(lambda item: item)
    flow.stateful_map("keep", list, lambda state, value: ([*state, value], [*state, value]))
    flow.inspect(lambda item: seen.__setitem__(*item))
    flow.output("out", TestingOutput([]))
    cluster_main(flow, [], 0, worker_count_per_proc=workers)
    assert seen == {str(i): list(range(count)) for i, count in enumerate(counts) if count}
