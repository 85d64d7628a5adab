"""A process id without an address, and no workers at all: refused here, a hang or nothing at all upstream.

:run: python cluster_arguments.py no_workers
:upstream: returned []
:ours: ValueError []
:run: python cluster_arguments.py proc_id
:upstream exit: hangs
:ours: ValueError []
"""

import sys

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, cluster_main

out = []
flow = Dataflow()
flow.input("inp", TestingInput([1]))
flow.output("out", TestingOutput(out))
try:
    if sys.argv[1] == "no_workers":
        cluster_main(flow, [], 0, worker_count_per_proc=0)
    else:
        cluster_main(flow, ["127.0.0.1:0"], 1)
    print("returned", out)
except ValueError:
    print("ValueError", out)
