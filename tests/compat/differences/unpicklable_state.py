"""State and positions that can't be pickled: upstream fails after all output, here nobody pickles.

:upstream: state [('a', 1), ('a', 2)] failed
:upstream: position [1, 2] failed
:upstream: sink ['a'] failed
:ours: state [('a', 1), ('a', 2)] done
:ours: position [1, 2] done
:ours: sink ['a'] done
"""

import threading

from bytewax.dataflow import Dataflow
from bytewax.inputs import PartitionedInput, StatefulSource
from bytewax.outputs import PartitionedOutput, StatefulSink
from bytewax.testing import TestingInput, TestingOutput, run_main

written = []


class Lock:
    def __init__(self):
        self._lock = threading.Lock()
        self._count = 0

    def push(self, _item):
        with self._lock:
            self._count += 1
            return self, self._count


class Source(StatefulSource):
    def __init__(self):
        self._numbers = iter([1, 2])

    def next(self):
        return next(self._numbers)

    def snapshot(self):
        return (number for number in self._numbers)


class Numbers(PartitionedInput):
    def list_parts(self):
        return {"only"}

    def build_part(self, for_part, resume_state):
        return Source()


class Sink(StatefulSink):
    def write(self, value):
        written.append(value)

    def snapshot(self):
        return threading.Lock()


class Sinks(PartitionedOutput):
    def list_parts(self):
        return {"only"}

    def assign_part(self, item_key):
        return "only"

    def build_part(self, for_part, resume_state):
        return Sink()


def run(name, flow, out):
    try:
        run_main(flow)
    except (RuntimeError, TypeError):
        print(name, out, "failed")
    else:
        print(name, out, "done")


out = []
flow = Dataflow()
flow.input("inp", TestingInput([("a", None), ("a", None)]))
flow.stateful_map("count", Lock, Lock.push)
flow.output("out", TestingOutput(out))
run("state", flow, out)

out = []
flow = Dataflow()
flow.input("inp", Numbers())
flow.output("out", TestingOutput(out))
run("position", flow, out)

flow = Dataflow()
flow.input("inp", TestingInput([("k", "a")]))
flow.output("out", Sinks())
run("sink", flow, written)
