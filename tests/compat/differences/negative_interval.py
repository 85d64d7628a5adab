"""A negative interval: upstream begins and fails, here it is an error of usage.

:run: python -m bytewax.run negative_interval --epoch-interval -1
:upstream exit: 1
:ours exit: 2
:stderr: negative
"""

from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput

flow = Dataflow()
flow.input("inp", TestingInput([0]))
flow.output("out", StdOutput())
