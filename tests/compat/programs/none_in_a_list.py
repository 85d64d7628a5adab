"""With an interval of zero a `None` in a list takes an epoch number of its own."""

from datetime import timedelta

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main

seen = []
flow = Dataflow()
flow.input("inp", TestingInput(["a", None, None, "b"]))
flow.inspect_epoch(lambda epoch, item: seen.append((epoch, item)))
flow.output("out", TestingOutput([]))
run_main(flow, epoch_interval=timedelta(0))
print(seen)
