"""A source written by hand, of several partitions: every call that it gets, in its order."""

from datetime import timedelta

from bytewax.dataflow import Dataflow
from bytewax.inputs import PartitionedInput, StatefulSource
from bytewax.testing import TestingOutput, run_main

trace = []


class SensorSource(StatefulSource):
    def __init__(self, name, readings):
        self._name = name
        self._readings = iter(readings)
        self._position = 0

    def next(self):
        try:
            reading = next(self._readings)
        except StopIteration:
            trace.append(f"{self._name} ends")
            raise
        self._position += 1
        trace.append(f"{self._name} next {reading}")
        return reading

    def snapshot(self):
        trace.append(f"{self._name} snapshot {self._position}")
        return self._position

    def close(self):
        trace.append(f"{self._name} close")


class Sensors(PartitionedInput):
    def __init__(self, **readings):
        self._readings = readings

    def list_parts(self):
        trace.append("list_parts")
        return set(self._readings)

    def build_part(self, for_part, resume_state):
        trace.append(f"build {for_part} {resume_state}")
        if self._readings[for_part] is None:
            return None  # nobody home: the partition is left out
        return SensorSource(for_part, self._readings[for_part])


def run(source, **options):
    trace.clear()
    readings = []
    flow = Dataflow()
    flow.input("sensors", source)
    flow.inspect(lambda reading: trace.append(f"flow {reading}"))
    flow.output("out", TestingOutput(readings))
    run_main(flow, **options)
    return readings


for interval in (None, timedelta(seconds=10), timedelta(0)):
    print(interval, run(Sensors(attic=["a1", None, "a2"]), epoch_interval=interval))
    print([line for line in trace if not line.startswith("flow")])
    print([line for line in trace if " next " in line or line.startswith("flow")])

# Partitions are asked in any order, each in its own.
readings = run(Sensors(c=["c1", "c2"], a=["a1"], b=["b1", "b2", "b3"], d=None, e=[]))
print(sorted(readings), [line for line in trace if line.startswith(("list", "build"))])
for part in "abcde":
    print(part, [line for line in trace if line.startswith(f"{part} ")])
print(run(Sensors()), trace)
