"""Many small flows put together at random (always the same ones), every call of theirs written down.

The products of one `flat_map` call may travel on together or one by one, so that with one in the flow only the order
of each step's own calls is compared, and after a failure just its class.
"""

import random
from datetime import timedelta

from bytewax.dataflow import Dataflow
from bytewax.inputs import PartitionedInput, StatefulSource
from bytewax.outputs import PartitionedOutput, StatefulSink
from bytewax.testing import TestingInput, TestingOutput, run_main

FLOW_COUNT = 300
calls = []


def note(name, *args):
    calls.append((name, *args))


class Notes:
    """A list for a `TestingOutput` that says whose items these are."""

    def __init__(self, name):
        self._name = name

    def append(self, item):
        note(self._name, item)


def by_step():
    return sorted((name, [args for other, *args in calls if other == name]) for name in {name for name, *_ in calls})


class Source(StatefulSource):
    def __init__(self, items):
        self._items = iter(items)

    def next(self):
        item = next(self._items)
        note("next", item)
        return item

    def snapshot(self):
        return None

    def close(self):
        note("source closed")


class Input(PartitionedInput):
    def __init__(self, items):
        self._items = items

    def list_parts(self):
        return {"one"}

    def build_part(self, for_part, resume_state):
        return Source(self._items)


class Sink(StatefulSink):
    def __init__(self, name):
        self._name = name

    def write(self, value):
        note(self._name, "write", value)

    def snapshot(self):
        return None

    def close(self):
        note(self._name, "closed")


class Output(PartitionedOutput):
    def __init__(self, name):
        self._name = name

    def list_parts(self):
        return {"one"}

    def assign_part(self, item_key):
        return "one"

    def build_part(self, for_part, resume_state):
        return Sink(self._name)


def number_of(item):
    """Anything that flows here, as a number."""
    while isinstance(item, tuple):
        item = item[1]
    return item or 0


def failing(function, choice):
    """Make a function that fails for one number in five flows."""
    bad = choice.randrange(12) if choice.random() < 0.2 else None

    def checked(*args):
        if bad is not None and number_of(args[-1]) == bad:
            raise ValueError(f"no {bad} today")
        return function(*args)

    return checked


def add_step(flow, choice, step_id):
    factor = choice.randrange(1, 4)
    kind = choice.randrange(10)
    if kind == 0:
        flow.map(failing(lambda item: number_of(item) * factor, choice))
    elif kind == 1:
        flow.map(failing(lambda item: (str(number_of(item) % 3), number_of(item)), choice))
    elif kind == 2:
        flow.filter(failing(lambda item: number_of(item) % (factor + 1) != 0, choice))
    elif kind == 3:
        flow.flat_map(failing(lambda item: [(str(n), number_of(item) + n) for n in range(factor)], choice))
    elif kind == 4:
        flow.filter_map(failing(lambda item: None if number_of(item) % 4 == factor else item, choice))
    elif kind == 5:
        flow.inspect(failing(lambda item: note(step_id, item), choice))
    elif kind == 6:
        flow.inspect_epoch(failing(lambda epoch, item: note(step_id, epoch, item), choice))
    elif kind == 7:
        reducer = failing(lambda total, item: number_of(total) + number_of(item), choice)
        flow.reduce(step_id, reducer, lambda total: number_of(total) > 5 * factor)
    elif kind == 8:
        mapper = failing(lambda total, item: (total + number_of(item),) * 2, choice)
        flow.stateful_map(step_id, lambda: factor, mapper)
    else:
        flow.output(step_id, Output(step_id) if choice.random() < 0.5 else TestingOutput(Notes(step_id)))


def items_of(choice):
    items = [choice.randrange(8) for _ in range(choice.randrange(9))]
    if choice.random() < 0.7:
        return [(choice.choice("abc"), item) for item in items]
    return items


for seed in range(FLOW_COUNT):
    choice = random.Random(seed)
    calls.clear()
    flow = Dataflow()
    items = items_of(choice)
    flow.input("inp", Input(items) if choice.random() < 0.6 else TestingInput(items))
    for position in range(choice.randrange(7)):
        add_step(flow, choice, f"step {position}")
    flow.output("out", TestingOutput(Notes("out")))
    try:
        run_main(flow, epoch_interval=choice.choice([None, timedelta(0), timedelta(days=1)]))
        ending = "done"
    except (TypeError, ValueError) as error:
        ending = type(error).__name__
    if any(step["type"] == "FlatMap" for step in flow.steps):
        print(seed, ending, by_step() if ending == "done" else "")
    else:
        print(seed, ending, calls)
