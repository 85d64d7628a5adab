"""Outputs amid the steps, with step ids used twice: each writes, and hands the items on."""

from pathlib import Path

from bytewax.connectors.files import FileOutput
from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main

raw, totals = [], []


def running_total(total, amount):
    return total + amount, total + amount


def add_totals(flow):
    flow.stateful_map("total", lambda: 0, running_total)


flow = Dataflow()
flow.input("amounts", TestingInput([["eur", 5], ["usd", 7], ["eur", 11], ["eur", 2]]))
flow.output("out", TestingOutput(raw))
flow.map(tuple)
add_totals(flow)
flow.output("out", StdOutput())
add_totals(flow)  # the totals of the totals
flow.output("out", TestingOutput(totals))
flow.map(lambda item: (item[0], f"{item[0]} {item[1]}"))
flow.output("file", FileOutput(Path("totals.txt")))
flow.inspect(lambda item: print("after the file:", item))
flow.output("out", StdOutput())
run_main(flow)
print(raw, totals)
print(Path("totals.txt").read_text().splitlines())
