"""A flow of three items, in the operators API."""

import bytewax.operators as op

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

out: list[int] = []
flow = Dataflow("bench")
stream = op.input("inp", flow, TestingSource([1, 2, 3]))
stream = op.map("map", stream, lambda x: x + 1)
op.output("out", stream, TestingSink(out))
run_main(flow)
assert out == [2, 3, 4], out
