"""A folder of logs, one partition for each file that matches; errors counted by file."""

from pathlib import Path

from bytewax.connectors.files import DirInput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingOutput, run_main

logs = Path("logs")
logs.mkdir()
for host, count in (("red", 3), ("green", 1), ("blue", 0)):
    lines = [f"{host} ERROR {number}" for number in range(count)] + [f"{host} INFO last"]
    (logs / f"{host}.log").write_text("\n".join(lines) + "\n")
(logs / "notes.txt").write_text("not a log\n")
(logs / "void.log").write_text("")

source = DirInput(logs, glob_pat="*.log")
print(sorted(source.list_parts()))
print(sorted(DirInput(logs).list_parts()))

errors, per_host = [], []
flow = Dataflow()
flow.input("logs", source)
flow.filter(lambda line: "ERROR" in line)
flow.output("errors", TestingOutput(errors))
flow.map(lambda line: (line.split()[0], line))
flow.stateful_map("count", lambda: 0, lambda count, _line: (count + 1, count + 1))
flow.output("counts", TestingOutput(per_host))
run_main(flow)
print(sorted(errors))
print(sorted(per_host))  # files are read side by side, in any order
for host in ("red", "green"):
    print([line for line in errors if line.startswith(host)])  # each of them in its own order

for wrong in (Path("nowhere"), logs / "notes.txt"):
    try:
        DirInput(wrong)
    except ValueError as error:
        print(error)
