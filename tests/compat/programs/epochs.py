"""Epochs as `inspect_epoch` sees them: one for all, or with interval zero one for each round of polling."""

from datetime import timedelta

from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicInput, PartitionedInput, StatefulSource, StatelessSource
from bytewax.testing import TestingInput, TestingOutput, run_main


class Numbers(StatefulSource):
    def __init__(self, numbers):
        self._numbers = list(numbers)

    def next(self):
        if not self._numbers:
            raise StopIteration
        return self._numbers.pop(0)

    def snapshot(self):
        return len(self._numbers)


class TwoLanes(PartitionedInput):
    def list_parts(self):
        return {"left", "right"}

    def build_part(self, for_part, resume_state):
        return Numbers([1, 2, 3] if for_part == "left" else [10, 20])


class Ticks(StatelessSource):
    def __init__(self):
        self._ticks = ["tick", "tock", "tick"]

    def next(self):
        if not self._ticks:
            raise StopIteration
        return self._ticks.pop(0)


class Clock(DynamicInput):
    def build(self, worker_index, worker_count):
        return Ticks()


def epochs_of(source, interval):
    seen, out = [], []
    flow = Dataflow()
    flow.input("inp", source)
    flow.flat_map(lambda item: [item, item] if item == 2 else [item])
    flow.inspect_epoch(lambda epoch, item: seen.append((epoch, item)))
    flow.output("out", TestingOutput(out))
    run_main(flow, epoch_interval=interval)
    return seen, out


for interval in (None, timedelta(hours=1), timedelta(0)):
    print(interval)
    print(epochs_of(TestingInput(range(5)), interval))
    print(epochs_of(TestingInput(item for item in ["a", None, "b"]), interval))  # a round that brought nothing
    print(epochs_of(Clock(), interval))
    seen, _ = epochs_of(TwoLanes(), interval)
    print(sorted(seen, key=repr))  # who is asked first in a round is free, which round it is isn't

keyed = []
flow = Dataflow()
flow.input("inp", TestingInput([("a", 1), ("b", 2), ("a", 3)]))
flow.reduce("sum", lambda total, value: total + value, lambda total: total > 3)
flow.inspect_epoch(lambda epoch, item: keyed.append((epoch, item)))
flow.output("out", TestingOutput([]))
run_main(flow, epoch_interval=timedelta(0))
print(keyed)  # a reduction is in the epoch of the item that completed it
