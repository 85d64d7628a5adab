"""On threads a failure is told on stderr, and the caller gets a `RuntimeError` whatever it was.

:stderr: ValueError
:stderr: no entry for 'x'
:stderr: error calling `map` mapper
:stderr: error getting input
:stderr: OSError: cable cut
:stderr: error building DynamicOutput
:stderr: Dataflow needs to contain at least one input
:stderr: Dataflow needs to contain at least one output
:stderr: in look_up
"""

import threading

from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicInput, StatelessSource
from bytewax.outputs import DynamicOutput
from bytewax.testing import TestingInput, TestingOutput, cluster_main


def look_up(name):
    if name == "x":
        raise ValueError(f"no entry for {name!r}")
    return name.upper()


class Cut(StatelessSource):
    def next(self):
        raise OSError("cable cut")


class Cable(DynamicInput):
    def build(self, worker_index, worker_count):
        return Cut()


class NoOutput(DynamicOutput):
    def build(self, worker_index, worker_count):
        raise KeyError("no output")


def attempt(name, flow, worker_count):
    try:
        cluster_main(flow, [], 0, worker_count_per_proc=worker_count)
    except RuntimeError as error:
        print(
            name,
            worker_count,
            "Worker thread died; look for errors above" in str(error),
            threading.active_count(),
        )


for worker_count in (1, 3):
    out = []
    flow = Dataflow()
    flow.input("names", TestingInput(["a", "b", "x", "d"]))
    attempt("no output", flow, worker_count)
    flow.map(look_up)
    flow.output("out", TestingOutput(out))
    attempt("mapper", flow, worker_count)
    print("X" in out)

    flow = Dataflow()
    flow.input("cable", Cable())
    flow.output("out", TestingOutput(out))
    attempt("source", flow, worker_count)

    flow = Dataflow()
    flow.input("names", TestingInput(["a"]))
    flow.output("out", NoOutput())
    attempt("sink", flow, worker_count)
    attempt("nothing", Dataflow(), worker_count)
