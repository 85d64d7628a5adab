"""A `run_main` in the file, under `bytewax.run`: upstream runs the flow twice, here once.

:run: python -m bytewax.run run_main_in_the_file
:upstream: 1
:upstream: 2
:upstream: loaded
:upstream: 1
:upstream: 2
:ours: loaded
:ours: 1
:ours: 2
"""

from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, run_main

flow = Dataflow()
flow.input("inp", TestingInput([1, 2]))
flow.output("out", StdOutput())
run_main(flow)
print("loaded")
