"""What `StdOutput` prints goes to the `sys.stdout` of the moment, whatever the item and the thread."""

import contextlib
import io
import sys
from dataclasses import dataclass

from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, cluster_main, run_main


@dataclass
class Point:
    x: int

    def __str__(self):
        return f"<{self.x}>"


def flow_of(items, build=lambda flow: None):
    flow = Dataflow()
    flow.input("inp", TestingInput(items))
    build(flow)
    flow.output("out", StdOutput())
    return flow


flow = flow_of([1, 2.5, "text", "two\nlines", "", (1, "a"), ["ž"], {"k": None}, Point(3), b"x", True])
run_main(flow)
text = io.StringIO()
with contextlib.redirect_stdout(text):
    run_main(flow)
print(repr(text.getvalue()))
text = io.StringIO()
with contextlib.redirect_stdout(text):
    cluster_main(flow_of(range(20)), [], 0, worker_count_per_proc=1)
print(text.getvalue().split())


class Chatty(io.StringIO):
    def write(self, text):
        return super().write(text.upper())


chatty = Chatty()
real, sys.stdout = sys.stdout, chatty
run_main(flow_of(["quiet", "words"]))
sys.stdout = real
print(repr(chatty.getvalue()))


class Unprintable:
    def __str__(self):
        raise ValueError("no words for it")


try:
    run_main(flow_of(["before", Unprintable(), "after"]))
except ValueError as error:
    print("error writing to dynamic output" in str(error), "no words for it" in str(error))
