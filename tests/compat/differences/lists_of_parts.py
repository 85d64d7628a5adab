"""Partitions named by another iterable than a set: a `TypeError` upstream, taken here.

:upstream: list TypeError []
:upstream: tuple TypeError []
:upstream: dict TypeError []
:upstream: frozenset TypeError []
:upstream: sink TypeError []
:ours: list no error ['a', 'b']
:ours: tuple no error ['a', 'b']
:ours: dict no error ['a', 'b']
:ours: frozenset no error ['a', 'b']
:ours: sink no error ['x']
"""

from bytewax.dataflow import Dataflow
from bytewax.inputs import PartitionedInput, StatefulSource
from bytewax.outputs import PartitionedOutput, StatefulSink
from bytewax.testing import TestingInput, TestingOutput, run_main

written = []


class Once(StatefulSource):
    def __init__(self, item):
        self._items = [item]

    def next(self):
        if not self._items:
            raise StopIteration
        return self._items.pop()

    def snapshot(self):
        return None


class Names(PartitionedInput):
    def __init__(self, parts):
        self._parts = parts

    def list_parts(self):
        return self._parts

    def build_part(self, for_part, resume_state):
        return Once(for_part)


class Sink(StatefulSink):
    def write(self, value):
        written.append(value)

    def snapshot(self):
        return None


class Sinks(PartitionedOutput):
    def list_parts(self):
        return ["only"]

    def assign_part(self, item_key):
        return "only"

    def build_part(self, for_part, resume_state):
        return Sink()


def run(name, source, build, out):
    flow = Dataflow()
    flow.input("inp", source)
    build(flow)
    try:
        run_main(flow)
    except TypeError:
        print(name, "TypeError", out)
    else:
        print(name, "no error", sorted(out))


for parts in (["a", "b"], ("a", "b"), {"a": 1, "b": 2}, frozenset("ab")):
    out = []
    run(type(parts).__name__, Names(parts), lambda flow: flow.output("out", TestingOutput(out)), out)
run("sink", TestingInput([("k", "x")]), lambda flow: flow.output("out", Sinks()), written)
