"""Every worker reads its own pages of a listing, from a source that often has nothing yet."""

import threading

from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicInput, StatelessSource
from bytewax.testing import TestingOutput, cluster_main, run_main

PAGES = [["ant", "bee"], [], ["cat"], ["dog", "eel", "fox"], ["gnu"], [], ["hen", "ibis"]]
closed = []


class PageSource(StatelessSource):
    def __init__(self, pages, label):
        self._pages = pages
        self._waiting = []
        self._label = label

    def next(self):
        if self._waiting:
            return f"{self._label}: {self._waiting.pop(0)}"
        if not self._pages:
            raise StopIteration
        self._waiting = list(self._pages.pop(0))
        return None

    def close(self):
        closed.append(self._label)


class PagedInput(DynamicInput):
    def build(self, worker_index, worker_count):
        return PageSource(PAGES[worker_index::worker_count], f"{worker_index} of {worker_count}")


out = []
flow = Dataflow()
flow.input("pages", PagedInput())
flow.map(str.upper)
flow.output("out", TestingOutput(out))

run_main(flow)
print(out, closed)
for worker_count in (1, 3, 9):
    out.clear()
    closed.clear()
    cluster_main(flow, [], 0, worker_count_per_proc=worker_count)
    print(sorted(out), sorted(closed), threading.active_count())
out.clear()
cluster_main(flow, addresses=None, proc_id=0, worker_count_per_proc=2)
print(sorted(out))
