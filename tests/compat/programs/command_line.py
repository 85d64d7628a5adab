"""Flags and environment of `bytewax.run`: the interval, bad values, and failures of the flow.

:run: python -m bytewax.run command_line
:run: python -m bytewax.run command_line --epoch-interval 0
:run: BYTEWAX_EPOCH_INTERVAL=0 python -m bytewax.run command_line
:run: BYTEWAX_EPOCH_INTERVAL=0 python -m bytewax.run command_line --epoch-interval 30
:run: python -m bytewax.run command_line --epoch-interval=soon
:exit: 2
:stderr: --epoch-interval
:run: BYTEWAX_EPOCH_INTERVAL=soon python -m bytewax.run command_line
:exit: 2
:stderr: --epoch-interval
:run: python -m bytewax.run command_line -w many
:exit: 2
:stderr: -w
:run: BYTEWAX_WORKERS_PER_PROCESS=many python -m bytewax.run command_line
:exit: 2
:stderr: -w
:run: python -m bytewax.run command_line:failing
:exit: 1
:stderr: ZeroDivisionError
:stderr: division by zero
:stderr: error calling `map` mapper
:stderr: in invert
:run: python -m bytewax.run command_line:endless
:exit: 1
:stderr: Dataflow needs to contain at least one output
"""

from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput


def invert(number):
    return 1 / number


flow = Dataflow()
flow.input("inp", TestingInput(["a", "b", "c"]))
flow.inspect_epoch(lambda epoch, item: print(epoch, item))
flow.output("out", StdOutput())

failing = Dataflow()
failing.input("inp", TestingInput([1, 2, 0, 3]))
failing.map(invert)
failing.output("out", StdOutput())

endless = Dataflow()
endless.input("inp", TestingInput([1]))
