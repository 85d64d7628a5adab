"""The mean temperature of each sensor so far, after each measurement."""

from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, run_main

MEASUREMENTS = [
    {"sensor": "kitchen", "celsius": 21.0},
    {"sensor": "attic", "celsius": 14.0},
    {"sensor": "kitchen", "celsius": 23.0},
    {"sensor": "kitchen", "celsius": None},
    {"sensor": "attic", "celsius": 15.0},
    {"sensor": "kitchen", "celsius": 22.0},
]


def by_sensor(measurement):
    return measurement["sensor"], measurement["celsius"]


def start():
    return 0, 0.0


def mean(state, celsius):
    count, total = state
    count, total = count + 1, total + celsius
    return (count, total), total / count


def line(reading):
    sensor, celsius = reading
    return f"{sensor}: {celsius:.1f}"


flow = Dataflow()
flow.input("measurements", TestingInput(MEASUREMENTS))
flow.filter(lambda measurement: measurement["celsius"] is not None)
flow.map(by_sensor)
flow.stateful_map("mean", start, mean)
flow.map(line)
flow.output("out", StdOutput())

if __name__ == "__main__":
    run_main(flow)
