"""A cluster of one process that is started by hand: `-i` says which it is, `-a` where it listens."""

import os
import socket
import subprocess
import sys

from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput

flow = Dataflow()
flow.input("inp", TestingInput(range(4)))
flow.map(lambda number: number**3)
flow.output("out", StdOutput())


def start(*flags, **env):
    command = [sys.executable, "-m", "bytewax.run", "manual_process", *flags]
    done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=False)
    print(done.returncode, done.stdout.split())


if __name__ == "__main__":
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    start("-i", "0", "-a", address)
    start("--process-id=0", "--addresses", address, "-w", "1")
    start(BYTEWAX_PROCESS_ID="0", BYTEWAX_ADDRESSES=address)
    start("-i", "0")  # no address
    start("-i", "first", "-a", address)
    with open("hosts", "w") as hosts:
        hosts.write(f"{address}\n\n")
    start(BYTEWAX_POD_NAME="shop-0", BYTEWAX_STATEFULSET_NAME="shop", BYTEWAX_HOSTFILE_PATH="hosts")
    start("-i", "0", "-a", "nonsense")
