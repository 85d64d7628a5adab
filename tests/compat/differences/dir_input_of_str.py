"""A folder given as `str`: upstream wants a `Path`, here either will do.

:upstream: AttributeError
:ours: ['hello']
"""

from pathlib import Path

from bytewax.connectors.files import DirInput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingOutput, run_main

Path("mail").mkdir()
Path("mail/first").write_text("hello\n")
out = []
flow = Dataflow()
try:
    flow.input("mail", DirInput("mail"))
    flow.output("out", TestingOutput(out))
    run_main(flow)
    print(out)
except AttributeError:
    print("AttributeError")
