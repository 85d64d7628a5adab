"""A flow of three items, in the fluent API."""

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main

out: list[int] = []
flow = Dataflow()
flow.input("inp", TestingInput([1, 2, 3]))
flow.map(lambda x: x + 1)
flow.output("out", TestingOutput(out))
run_main(flow)
assert out == [2, 3, 4], out
