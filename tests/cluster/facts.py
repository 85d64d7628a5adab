"""Facts about running processes that tests wait for, and what all tests of a failure check."""

import os
import time
from pathlib import Path

TIME_LIMIT_S = 30
SOON_S = 10  # what "at once" may take on a busy machine; far below the time-outs of PATIENT

# So a failure that is noticed was not noticed by a look at the clock.
PATIENT = {"BYTEWAX_CLUSTER_TIMEOUT": "60", "BYTEWAX_CLUSTER_CONNECT_TIMEOUT": "60"}
HASTY = {"BYTEWAX_CLUSTER_TIMEOUT": "1.5", "BYTEWAX_CLUSTER_CONNECT_TIMEOUT": "3"}

# Prints items of each worker, and does not end: then all run, and data went through every connection.
RUNNING = """
flow = Dataflow()
flow.input("inp", EachWorker(lambda worker: forever(*((f"key-{i}", worker) for i in range(60)))))
flow.stateful_map("relay", lambda: None, lambda state, worker: (state, worker))
flow.map(lambda item: f"from {item[1]}")
flow.output("out", Say())
"""

# Each worker adds 1 to each of 10 keys 20 times; the totals are printed, each by one worker.
COUNTS = """
flow = Dataflow()
flow.input("inp", EachWorker(lambda worker: [(f"key-{i % 10}", 1) for i in range(200)]))
flow.reduce("count", lambda a, b: a + b, lambda total: total == 20 * worker_count * len(addresses))
flow.output("out", Say())
"""


def is_running(cluster):
    """Wait until RUNNING runs."""
    for index in range(len(cluster.addresses)):
        cluster.wait_for_line(f"from {index}")


def counts_are_right(cluster, workers=1):
    """Wait until COUNTS has ended well."""
    assert cluster.wait() == [0] * len(cluster.processes), cluster
    total = 20 * workers * len(cluster.addresses)
    lines = sorted(line for process in cluster for line in process.stdout.lines)
    assert lines == [str((f"key-{i}", total)) for i in range(10)], cluster


def ends_with_an_error(process, *texts, timeout=SOON_S):
    """Wait until a process has ended by itself, by a RuntimeError that says all of that."""
    assert process.wait(timeout) == 1, process
    assert "RuntimeError" in process.stderr.text, process
    for text in texts:
        assert text in process.stderr.text, f"{text!r} is missing\n{process}"


def goes_on(cluster):
    """Check that nothing has happened to RUNNING, and end it."""
    assert [process.popen.poll() for process in cluster] == [None] * len(cluster.processes), cluster
    for process in cluster:
        process.kill()
    cluster.wait()


def wait_until(is_true, what, timeout=TIME_LIMIT_S):
    """Wait for a fact that nobody tells."""
    deadline = time.monotonic() + timeout
    while not (found := is_true()):
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.01)
    return found


def connections_at(port):
    """How many connections there are at a port of this machine, seen from the side that listens."""
    count = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            count += state == "01" and int(local.rpartition(":")[2], 16) == port
    return count


def port_of(address):
    return int(address.rpartition(":")[2])


def wait_until_connected(cluster, index, count=1):
    """Wait until `count` others are connected to a process of a cluster."""
    port = port_of(cluster.addresses[index])
    wait_until(lambda: connections_at(port) >= count, f"{count} connections to process {index}")


def descriptors(process):
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def resident_bytes(process):
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def cpu_seconds(process):
    """CPU time that a process has used, all threads."""
    return time.clock_gettime((~process.pid << 3) | 2)  # the clock of another process, as clock_getcpuclockid() has it
