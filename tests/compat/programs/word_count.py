"""Counts the words of a text file, case folded, into another file."""

import re
from pathlib import Path

from bytewax.connectors.files import FileInput, FileOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main

TEXT = """To be, or not to be, that is the question:
Whether 'tis nobler in the mind to suffer
The slings and arrows of outrageous fortune,
  Or to take arms against a sea of troubles
And by opposing end them. To die - to sleep,
No more; and by a sleep to say we end\t
The heart-ache and the thousand natural shocks
That flesh is heir to: 'tis a consummation"""


def count(total, one):
    total += one
    return total, total


Path("hamlet.txt").write_text(TEXT)
flow = Dataflow()
flow.input("lines", FileInput(Path("hamlet.txt")))
flow.map(str.lower)
flow.flat_map(lambda line: re.findall(r"[a-z']+", line))
flow.map(lambda word: (word, 1))
flow.stateful_map("count", int, count)
flow.map(lambda word_total: ("counts", f"{word_total[0]}={word_total[1]}"))
flow.output("out", FileOutput("counts.txt"))
run_main(flow)
print(Path("counts.txt").read_text(), end="")
