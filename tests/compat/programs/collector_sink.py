"""A sink on every worker, written by hand: built, written to and closed where the items happen to be."""

from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicOutput, StatelessSink
from bytewax.testing import TestingInput, cluster_main, run_main

trace = []


class Collector(StatelessSink):
    def __init__(self, worker_index):
        self._worker_index = worker_index
        self._items = []

    def write(self, item):
        self._items.append(item)
        trace.append(("write", item))

    def close(self):
        trace.append(("close", self._worker_index))


class Collectors(DynamicOutput):
    def build(self, worker_index, worker_count):
        trace.append(("build", worker_index, worker_count))
        return Collector(worker_index)


class Quiet(StatelessSink):  # close() is optional
    def write(self, item):
        trace.append(("quiet", item))


class Quiets(DynamicOutput):
    def build(self, worker_index, worker_count):
        return Quiet()


flow = Dataflow()
flow.input("numbers", TestingInput([1, "two", None, (3, 4), []]))
flow.output("collect", Collectors())
flow.output("quiet", Quiets())
run_main(flow)
print(*trace, sep="\n")

trace.clear()
cluster_main(flow, [], 0, worker_count_per_proc=3)
print(*sorted(trace, key=repr), sep="\n")

trace.clear()
flow = Dataflow()
flow.input("nothing", TestingInput([]))
flow.output("collect", Collectors())
run_main(flow)
print(trace)
