"""Some workers own as many partitions as there are workers and others fewer: upstream hangs.

:upstream exit: hangs
:ours: [1, 1, 1, 2, 2, 2]
"""

from bytewax.dataflow import Dataflow
from bytewax.inputs import PartitionedInput, StatefulSource
from bytewax.testing import TestingOutput, cluster_main


class Two(StatefulSource):
    def __init__(self):
        self._items = [1, 2]

    def next(self):
        if not self._items:
            raise StopIteration
        return self._items.pop()

    def snapshot(self):
        return None


class Twos(PartitionedInput):
    def list_parts(self):  # however these fall to two workers, one owns two or more and the other fewer
        return {"north", "south", "west"}

    def build_part(self, for_part, resume_state):
        return Two()


out = []
flow = Dataflow()
flow.input("inp", Twos())
flow.output("out", TestingOutput(out))
cluster_main(flow, [], 0, worker_count_per_proc=2)
print(sorted(out))
