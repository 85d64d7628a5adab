"""The user's own exception: text in the message upstream, here the `__cause__` too, with its traceback.

:upstream: None False
:ours: ZeroDivisionError('division by zero') True
"""

import traceback

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main


def invert(number):
    return 1 / number


flow = Dataflow()
flow.input("inp", TestingInput([0]))
flow.map(invert)
flow.output("out", TestingOutput([]))
try:
    run_main(flow)
except ZeroDivisionError as error:
    frames = traceback.extract_tb(error.__cause__.__traceback__) if error.__cause__ else []
    print(repr(error.__cause__), any(frame.name == "invert" for frame in frames))
