"""Bank accounts on several threads: no booking lost or doubled, and those of an account in their order.

:order: any
"""

import threading
from datetime import timedelta

from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicInput, StatelessSource
from bytewax.testing import TestingInput, TestingOutput, cluster_main

BOOKINGS = [(f"account {number % 13}", number) for number in range(400)]


class Branch(StatelessSource):
    def __init__(self, bookings):
        self._bookings = iter(bookings)

    def next(self):
        return next(self._bookings)


class Branches(DynamicInput):
    """A branch on each worker, with accounts of its own, so that an account's bookings have one source."""

    def build(self, worker_index, worker_count):
        return Branch([(f"{worker_index} {name}", number) for name, number in BOOKINGS if number % 13 < 5])


def run(source, worker_count, **options):
    out, seen, threads = [], [], set()
    flow = Dataflow()
    flow.input("bookings", source)
    flow.inspect(lambda item: threads.add(threading.current_thread().ident))
    flow.inspect(seen.append)
    flow.stateful_map("running", lambda: (0, 0), lambda state, n: ((state[0] + 1, state[1] + n),) * 2)
    flow.output("out", TestingOutput(out))
    cluster_main(flow, [], 0, worker_count_per_proc=worker_count, **options)
    print(type(source).__name__, worker_count, len(seen), 1 <= len(threads) <= worker_count)
    print("off the main thread:", threading.main_thread().ident not in threads)
    return out


for worker_count in (1, 2, 4):
    out = run(Branches(), worker_count)
    for account in sorted({name for name, _ in out}):
        counts = [count for name, (count, _) in out if name == account]
        totals = [total for name, (_, total) in out if name == account]
        print(account, counts == list(range(1, len(counts) + 1)), totals == sorted(totals), totals[-1])

out = run(TestingInput(BOOKINGS[:40]), 3, epoch_interval=timedelta(0))
last = {}
for name, (count, total) in out:
    if count >= last.get(name, (0, 0))[0]:
        last[name] = (count, total)
print(sorted(last.items()))
