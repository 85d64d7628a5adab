"""Flags readings far from the mean so far: an object as state, its unbound method as mapper, resets."""

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main


class RunningMean:
    made = 0

    def __init__(self):
        RunningMean.made += 1
        self.count = 0
        self.total = 0.0

    def push(self, value):
        if value == "reset":
            return None, "forgotten"
        mean = self.total / self.count if self.count else value
        self.count += 1
        self.total += value
        return self, (value, round(mean, 2), abs(value - mean) > 10)


METRICS = [
    ("cpu", 20),
    ("disk", 5),
    ("cpu", 22),
    ("cpu", 60),
    ("disk", 5),
    ("cpu", "reset"),
    ("cpu", 60),
    ("disk", 30),
    ("cpu", 61),
    ("net", "reset"),
    ("net", 1),
]

out = []
flow = Dataflow()
flow.input("metrics", TestingInput(METRICS))
flow.stateful_map("mean", RunningMean, RunningMean.push)
flow.output("out", TestingOutput(out))
run_main(flow)
for line in out:
    print(line)
print(RunningMean.made, "states made")
run_main(flow)  # a new run starts from nothing
print(out[len(METRICS) :] == out[: len(METRICS)], RunningMean.made)
