"""A flow run by a step of another, and by a source and a sink."""

from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicInput, StatelessSource
from bytewax.outputs import DynamicOutput, StatelessSink
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main


def squares(count):
    out = []
    flow = Dataflow()
    flow.input("inp", TestingInput(range(count)))
    flow.map(lambda number: number * number)
    flow.output("out", TestingOutput(out))
    run_main(flow)
    return out


def squares_on_threads(count):
    out = []
    flow = Dataflow()
    flow.input("inp", TestingInput(range(count)))
    flow.map(lambda number: number * number)
    flow.output("out", TestingOutput(out))
    cluster_main(flow, [], 0, worker_count_per_proc=2)
    return sorted(out)


class Source(StatelessSource):
    def __init__(self):
        self._counts = iter([2, 3])

    def next(self):
        return squares(next(self._counts))


class Input(DynamicInput):
    def build(self, worker_index, worker_count):
        return Source()


class Sink(StatelessSink):
    def write(self, item):
        print(item, squares(2))


class Output(DynamicOutput):
    def build(self, worker_index, worker_count):
        return Sink()


flow = Dataflow()
flow.input("inp", Input())
flow.map(lambda item: (item, squares(len(item)), squares_on_threads(4)))
flow.output("out", Output())
run_main(flow)
cluster_main(flow, [], 0)


def fail(item):
    inner = Dataflow()
    inner.input("inp", TestingInput([0]))
    inner.map(lambda number: 1 / number)
    inner.output("out", TestingOutput([]))
    try:
        run_main(inner)
    except ZeroDivisionError:
        return "inner run failed"


flow = Dataflow()
flow.input("inp", TestingInput([1, 2]))
flow.map(fail)
flow.output("out", Output())
run_main(flow)
