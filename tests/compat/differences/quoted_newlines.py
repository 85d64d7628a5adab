r"""A quoted field of several lines: two broken rows upstream, one row here.

:upstream: {'name': 'ada', 'note': 'line one\n'}
:upstream: {'name': 'line two"'}
:upstream: {'name': 'bob', 'note': 'short'}
:ours: {'name': 'ada', 'note': 'line one\nline two'}
:ours: {'name': 'bob', 'note': 'short'}
"""

from pathlib import Path

from bytewax.connectors.files import CSVInput
from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main

Path("notes.csv").write_text('name,note\nada,"line one\nline two"\nbob,short\n')
flow = Dataflow()
flow.input("notes", CSVInput("notes.csv"))
flow.output("out", StdOutput())
run_main(flow)
