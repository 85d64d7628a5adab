"""A failure under `-w`: upstream's parent exits with 0 as if all were well, here the failure shows.

:run: python -m bytewax.run exit_code_of_threads -w 2
:upstream exit: 0
:ours exit: 1
:stderr: ZeroDivisionError
"""

from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput

flow = Dataflow()
flow.input("inp", TestingInput([0]))
flow.map(lambda number: 1 / number)
flow.output("out", StdOutput())
