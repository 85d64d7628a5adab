"""A flow runs as often as one likes, from any thread; a generator is used up by its first run."""

import threading
from datetime import timedelta

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main


def build(items):
    out = []
    flow = Dataflow()
    flow.input("inp", TestingInput(items))
    flow.map(lambda item: item + 1)
    flow.output("out", TestingOutput(out))
    return flow, out


numbers = [1, 2, 3]
flow, out = build(numbers)
run_main(flow)
numbers.append(4)  # the list is read anew
run_main(flow, epoch_interval=timedelta(0))
print(out)

flow, out = build(n for n in range(3))
run_main(flow)
run_main(flow)
print(out)

flow, out = build(range(1000))
thread = threading.Thread(target=run_main, args=(flow,))
thread.start()
thread.join()
print(len(out), sum(out), out == sorted(out))

out.clear()
threads = [threading.Thread(target=run_main, args=(flow,)) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(out), sum(out))

out.clear()
cluster_main(flow, [], 0, worker_count_per_proc=2)
print(sorted(out) == list(range(1, 1001)), threading.active_count())

out.clear()
flow.map(lambda item: item / 0)  # steps may be added after a run
try:
    run_main(flow)
except ZeroDivisionError:
    print("failed after", out)
flow.steps.clear()  # a copy
try:
    run_main(flow)
except ZeroDivisionError:
    print("failed after", out)
