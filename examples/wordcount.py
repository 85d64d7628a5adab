"""Counts the words of a text that comes with Python: the help topics of `pydoc`.

Run it by `python examples/wordcount.py`, or on four workers by `python -m bytewax.run examples/wordcount.py -w 4`:
the counts are the same, since each word has its one worker, and all counts meet in a sink of one partition.
"""

import importlib.util
import re
import time
from pathlib import Path

from bytewax.connectors.files import FileInput
from bytewax.dataflow import Dataflow
from bytewax.outputs import PartitionedOutput, StatefulSink
from bytewax.testing import run_main

TEXT = Path(importlib.util.find_spec("pydoc_data.topics").origin)
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")


class TopWordsSink(StatefulSink):
    """Keeps the latest count of each word and prints the highest at the end."""

    def __init__(self, size, counts):
        self.size = size
        self.counts = counts

    def write(self, count):
        word, total = count
        self.counts[word] = total

    def snapshot(self):
        return self.counts.copy()

    def close(self):
        ranking = sorted(self.counts.items(), key=lambda count: (-count[1], count[0]))
        for word, total in ranking[: self.size]:
            print(f"{total:6,} {word}")


class TopWords(PartitionedOutput):
    """One partition, so that one worker sees all counts."""

    def __init__(self, size):
        self.size = size

    def list_parts(self):
        return {"top"}

    def assign_part(self, word):
        return "top"

    def build_part(self, for_part, resume_state):
        return TopWordsSink(self.size, resume_state or {})


def words(line):
    # The text stands in Python source: its line ends are written as escapes.
    return WORD.findall(line.replace(r"\n", " ").lower())


def keyed(word):
    return word, word


def count(total, word):
    total += 1
    return total, (word, total)


flow = Dataflow()
flow.input("text", FileInput(TEXT))
flow.flat_map(words)
flow.map(keyed)
flow.stateful_map("count", int, count)
flow.output("top words", TopWords(10))

if __name__ == "__main__":
    with TEXT.open() as text:
        lines = sum(1 for _ in text)
    began = time.perf_counter()
    run_main(flow)
    seconds = time.perf_counter() - began
    print(f"{lines:,} lines in {seconds:.3f} s: {lines / seconds:,.0f} lines/s")
