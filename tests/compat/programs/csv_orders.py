"""Orders from a CSV file, with short, long, quoted and blank rows; a total per customer once it passes 100."""

from pathlib import Path

from bytewax.connectors.files import CSVInput
from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main

ORDERS = """customer;amount;note
ada;60;first
bob;20;"a; quoted note"
ada;45

bob;85;late;and too long
eve;1;"says ""hi\"""
ada;100;alone
"""

Path("orders.csv").write_text(ORDERS)
Path("header_only.csv").write_text("a,b\n")
Path("empty.csv").write_text("")
flow = Dataflow()
flow.input("orders", CSVInput("orders.csv", delimiter=";"))
flow.inspect(print)
flow.filter(lambda row: "amount" in row)
flow.map(lambda row: (row["customer"], int(row["amount"])))
flow.reduce("total", lambda total, amount: total + amount, lambda total: total >= 100)
flow.output("out", StdOutput())
run_main(flow)

for name in ("header_only.csv", "empty.csv"):
    flow = Dataflow()
    flow.input("rows", CSVInput(Path(name)))
    flow.output("out", StdOutput())
    print(name, run_main(flow))
