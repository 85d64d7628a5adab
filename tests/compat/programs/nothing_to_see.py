"""Where `None` is an absence and where it is a value like any other."""

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main


def run(items, build):
    out = []
    flow = Dataflow()
    flow.input("inp", TestingInput(items))
    build(flow)
    flow.output("out", TestingOutput(out))
    print(run_main(flow), out)


falsy = [0, "", [], False, 0.0, ()]
run([1, None, 2], lambda flow: None)  # a source can't give one
run([None, None], lambda flow: None)
run((None if n % 2 else n for n in range(6)), lambda flow: None)
run([1, 2], lambda flow: flow.map(lambda item: None))
run(falsy, lambda flow: flow.filter_map(lambda item: item))
run([1, 2, 3], lambda flow: flow.filter_map(lambda item: None if item == 2 else item * 10))
run([1, 2], lambda flow: flow.flat_map(lambda item: [None, item]))
run([1], lambda flow: [flow.map(lambda item: None), flow.filter(lambda item: item is None)])
run([1, 2], lambda flow: flow.inspect(lambda item: None))


def keyed(flow):
    flow.map(lambda value: ("k", value if value else None))
    flow.stateful_map("last", lambda: None, lambda last, value: (value, last))


run([1, 0, 2, 3], keyed)  # a state of None is no state: builder() makes the next one


def reduced(flow):
    flow.map(lambda value: ("k", None if value < 0 else value))
    flow.reduce("pair", lambda first, second: (first, second), lambda acc: isinstance(acc, tuple))


run([-1, 2, 3, -1, 5], reduced)
