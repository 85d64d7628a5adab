"""Invoices spread over the files of a folder: by default by the key's Adler-32 sum, or as the user says."""

from pathlib import Path

from bytewax.connectors.files import DirOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, run_main

INVOICES = [
    ("1", "one"),
    ("2", "two"),
    ("3", "three"),
    ("2", "two again"),
    ("äöü", "umlauts"),
    ("", "nobody"),
]


def show(folder):
    for path in sorted(Path(folder).iterdir()):
        print(path, repr(path.read_text()))


def file_of(key):
    return len(key) * 7


def name_of(index, count):
    return f"{index + 1}-of-{count}.txt"


for folder, options in (
    ("by_sum", {"file_count": 4}),
    ("by_number", {"file_count": 3, "assign_file": file_of, "file_namer": name_of, "end": ";"}),
):
    Path(folder).mkdir()
    flow = Dataflow()
    flow.input("invoices", TestingInput(INVOICES))
    flow.output("out", DirOutput(Path(folder), **options))
    run_main(flow)
    show(folder)

print(sorted(DirOutput(Path("by_sum"), 2).list_parts()))
try:
    flow = Dataflow()
    flow.input("invoices", TestingInput(INVOICES))
    flow.output("out", DirOutput(Path("missing"), 2))
    run_main(flow)
except FileNotFoundError as error:
    print("FileNotFoundError", "error building output parts" in str(error), "missing" in str(error))
