"""A cluster of one process that has an address: it runs, frees its port, and says when that is taken."""

import socket

from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, cluster_main

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{probe.getsockname()[1]}"

out = []
flow = Dataflow()
flow.input("inp", TestingInput(range(5)))
flow.map(lambda number: number * number)
flow.output("out", TestingOutput(out))
for worker_count in (1, 2):
    out.clear()
    print(cluster_main(flow, [address], 0, worker_count_per_proc=worker_count), sorted(out))
print(cluster_main(flow, addresses=[address], proc_id=0), len(out))

with socket.socket() as taken:
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    out.clear()
    try:
        cluster_main(flow, [f"127.0.0.1:{taken.getsockname()[1]}"], 0)
    except RuntimeError as error:
        print("RuntimeError", "Address already in use" in str(error), out)
for wrong in ("no-such-host.invalid:2101", "nonsense"):
    try:
        cluster_main(flow, [wrong], 0)
    except RuntimeError as error:
        print("RuntimeError", str(error) != "", out)
flow.output("std", StdOutput())
cluster_main(flow, [address], 0)
