"""A file sink starts its file anew at each run, and keeps what came before a failure."""

from pathlib import Path

from bytewax.connectors.files import FileOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, run_main


def write(lines, output, *, check=lambda line: None):
    flow = Dataflow()
    flow.input("lines", TestingInput(lines))
    flow.inspect(check)
    flow.map(lambda line: ("all", line))
    flow.output("out", output)
    run_main(flow)


def refuse(line):
    if line == "bad":
        raise RuntimeError("a bad line")


out = Path("out.txt")
out.write_text("from long ago, and rather long as well")
write(["first", "", "  second  "], FileOutput(out))
print(repr(out.read_text()))
write(["anew"], FileOutput("out.txt", end=""))
print(repr(out.read_text()))
write([], FileOutput(out))
print(repr(out.read_text()))
write(["äö", "multi\nline", "x" * 100_000], FileOutput(out, "\r\n"))
print(out.read_bytes()[:21], out.stat().st_size)
write([str(number) for number in range(2000)], FileOutput(out))
print(out.read_text().split("\n") == [*map(str, range(2000)), ""])

try:
    write(["good", "fine", "bad", "late"], FileOutput(out), check=refuse)
except RuntimeError as error:
    print("a bad line" in str(error), repr(out.read_text()))
try:
    write(["good", 5], FileOutput(out))
except TypeError:
    print("TypeError", repr(out.read_text()))
try:
    write(["good"], FileOutput("missing/out.txt"))
except FileNotFoundError as error:
    print("error building output parts" in str(error))
