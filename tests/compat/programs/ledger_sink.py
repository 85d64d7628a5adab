"""A partitioned sink written by hand: every call that it gets, in its order, and what goes on downstream."""

from datetime import timedelta

from bytewax.dataflow import Dataflow
from bytewax.outputs import PartitionedOutput, StatefulSink
from bytewax.testing import TestingInput, TestingOutput, run_main

BOOKINGS = [("rent", -700), ("pay", 1900), ("rent", -30), ("food", -45)]
trace = []


class AccountSink(StatefulSink):
    def __init__(self, part):
        self._part = part
        self._balance = 0

    def write(self, amount):
        self._balance += amount
        trace.append(f"{self._part} write {amount}")

    def snapshot(self):
        trace.append(f"{self._part} snapshot {self._balance}")
        return self._balance

    def close(self):
        trace.append(f"{self._part} close")


class Ledger(PartitionedOutput):
    def list_parts(self):
        trace.append("list_parts")
        return {"out", "in"}

    def assign_part(self, item_key):
        trace.append(f"assign {item_key}")
        return "in" if item_key == "pay" else "out"

    def build_part(self, for_part, resume_state):
        trace.append(f"build {for_part} {resume_state}")
        return AccountSink(for_part)


def by_part(lines):
    """The sinks of a worker are snapshotted and closed in any order: tell their stories apart."""
    return [[line for line in lines if line.startswith(f"{part} ")] for part in ("in", "out")]


for bookings in (BOOKINGS, []):
    for interval in (None, timedelta(0)):
        trace.clear()
        passed_on = []
        flow = Dataflow()
        flow.input("bookings", TestingInput(bookings))
        flow.output("ledger", Ledger())
        flow.output("again", TestingOutput(passed_on))
        run_main(flow, epoch_interval=interval)
        print(interval, passed_on)
        print([line for line in trace if line.startswith(("list", "build", "assign"))])
        for story in by_part(trace):
            print(story)
