"""A blank line: upstream stops reading there, here it is an item like any other.

:upstream: file ['a', 'b']
:upstream: folder ['c']
:upstream: first []
:ours: file ['a', 'b', '', 'd', '']
:ours: folder ['c', '', '', 'e']
:ours: first ['', 'f']
"""

from pathlib import Path

from bytewax.connectors.files import DirInput, FileInput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingOutput, run_main

Path("logs").mkdir()
Path("logs/one.txt").write_text("c\r\n\r\n\r\ne")
Path("notes.txt").write_text("a\nb\n\nd\n\n")
Path("first.txt").write_text("\nf\n")
for name, source in (
    ("file", FileInput("notes.txt")),
    ("folder", DirInput(Path("logs"))),
    ("first", FileInput(Path("first.txt"))),
):
    out = []
    flow = Dataflow()
    flow.input("lines", source)
    flow.output("out", TestingOutput(out))
    run_main(flow)
    print(name, out)
