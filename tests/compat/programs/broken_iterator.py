"""What a `flat_map` iterator made before it failed is lost: it is drained before the next step sees any."""

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main


def signs(number):
    yield number
    if number == 2:
        raise OSError("disk gone")
    yield -number


out = []
flow = Dataflow()
flow.input("inp", TestingInput([1, 2, 3]))
flow.flat_map(signs)
flow.output("out", TestingOutput(out))
try:
    run_main(flow)
except OSError as error:
    print(out, "disk gone" if "disk gone" in str(error) else error)
