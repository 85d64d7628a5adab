"""Under a debugger or a coverage tool."""

import subprocess
import sys

PROGRAM = """
import sys, threading
from bytewax.dataflow import Dataflow
from bytewax.execution import cluster_main
from bytewax.testing import TestingInput, TestingOutput

def trace(frame, event, argument):
    return trace

out = []
flow = Dataflow()
flow.input("inp", TestingInput(range(5)))
flow.map(lambda item: item)
flow.output("out", TestingOutput(out))
threading.settrace(trace)
sys.settrace(trace)
for _ in range(3):
    cluster_main(flow, [], 0, worker_count_per_proc=2)
print(len(out))
"""


def test_workers_end_while_the_interpreter_traces():
    # CPython 3.11 spins for ever on a flag that PyThreadState_SetAsyncExc(..., NULL) leaves behind.
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30)
    assert (result.stdout, result.stderr) == ("15\n", "")
