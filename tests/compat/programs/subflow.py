"""A function that adds steps to a flow, used twice: its step ids repeat."""

from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, run_main


def count_by(flow, key_of):
    flow.map(lambda item: (key_of(item), item))
    flow.stateful_map("count", int, lambda count, item: (count + 1, (count + 1, item)))
    flow.filter_map(lambda keyed: keyed[1][1] if keyed[1][0] <= 2 else None)


flow = Dataflow()
flow.input("words", TestingInput("ant bee ape bat asp bug cat auk cow ewe cod".split()))
count_by(flow, lambda word: word[0])  # at most two of each first letter
count_by(flow, lambda word: word[-1])  # of those, at most two of each last letter
flow.output("words", StdOutput())
print(run_main(flow))
