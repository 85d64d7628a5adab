"""One flow on threads by `-w`: a word count whose totals meet in a sink of one partition.

:run: python -m bytewax.run many_threads -w 3
:order: any
:run: python -m bytewax.run many_threads --workers-per-process 2
:order: any
:run: BYTEWAX_WORKERS_PER_PROCESS=2 python -m bytewax.run many_threads:flow
:order: any
:run: python -m bytewax.run many_threads -w1
:order: any
"""

import threading

from bytewax.dataflow import Dataflow
from bytewax.outputs import PartitionedOutput, StatefulSink
from bytewax.testing import TestingInput

LINES = ["the cat sat on the mat", "the dog sat on the cat", "on and on and on", "mat"] * 5


class Table(StatefulSink):
    def __init__(self):
        self._counts = {}
        self._threads = set()

    def write(self, word_count):
        word, count = word_count
        self._counts[word] = max(count, self._counts.get(word, 0))
        self._threads.add(threading.get_ident())

    def snapshot(self):
        return None

    def close(self):
        for word, count in self._counts.items():
            print(word, count)
        print("written by", len(self._threads))


class OneTable(PartitionedOutput):
    def list_parts(self):
        return {"table"}

    def assign_part(self, item_key):
        return "table"

    def build_part(self, for_part, resume_state):
        return Table()


flow = Dataflow()
flow.input("lines", TestingInput(LINES))
flow.flat_map(str.split)
flow.map(lambda word: (word, 1))
flow.stateful_map("count", int, lambda count, one: (count + one, count + one))
flow.map(lambda word_count: ("all", word_count))
flow.output("table", OneTable())
