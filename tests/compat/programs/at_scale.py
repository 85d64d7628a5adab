"""More of everything: many steps, many keys, many items from one, many partitions, and epochs that come and go."""

from collections import Counter
from datetime import timedelta

from bytewax.dataflow import Dataflow
from bytewax.inputs import PartitionedInput, StatefulSource
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main

out = []
flow = Dataflow()
flow.input("inp", TestingInput(range(300)))
for _ in range(120):
    flow.map(lambda number: number + 1)
    flow.filter(lambda number: number != 150)
flow.output("out", TestingOutput(out))
run_main(flow)
print(len(out), sum(out), out == sorted(out))

out = []
flow = Dataflow()
flow.input("inp", TestingInput([3, 0, 20_000, 1]))
flow.flat_map(range)
flow.flat_map(lambda number: [number] * (number % 3))
flow.output("out", TestingOutput(out))
run_main(flow)
print(len(out), sum(out), out[:4], out[-1])

WORDS = [f"word {number * number % 9973}" for number in range(20_000)]
for words, options in ((WORDS, {}), (WORDS[:300], {"epoch_interval": timedelta(milliseconds=1)})):
    out = []
    flow = Dataflow()
    flow.input("inp", TestingInput(words))
    flow.map(lambda word: (word, 1))
    flow.stateful_map("count", int, lambda count, one: (count + one, count + one))
    flow.output("out", TestingOutput(out))
    run_main(flow, **options)
    seen = Counter()
    in_order = True
    for word, count in out:
        seen[word] += 1
        in_order = in_order and seen[word] == count
    print(len(out), in_order, seen == Counter(words))


class Shelf(StatefulSource):
    def __init__(self, name):
        self._books = iter([f"{name} {number}" for number in range(5)])

    def next(self):
        return next(self._books)

    def snapshot(self):
        return None


class Library(PartitionedInput):
    def list_parts(self):
        return {f"shelf {number}" for number in range(300)}

    def build_part(self, for_part, resume_state):
        return Shelf(for_part)


for run in (run_main, lambda flow: cluster_main(flow, [], 0, worker_count_per_proc=3)):
    out = []
    flow = Dataflow()
    flow.input("books", Library())
    flow.map(lambda book: (book.rsplit(" ", 1)[0], 1))
    flow.reduce("shelf", lambda total, one: total + one, lambda total: total == 5)
    flow.output("out", TestingOutput(out))
    run(flow)
    print(len(out), set(out) == {(f"shelf {number}", 5) for number in range(300)})
