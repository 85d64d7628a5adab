"""Processes that die, stop or are cut off: the others end at once, or in time, and name who it was."""

import signal
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from facts import (
    COUNTS,
    HASTY,
    PATIENT,
    RUNNING,
    SOON_S,
    counts_are_right,
    ends_with_an_error,
    goes_on,
    is_running,
    wait_until_connected,
)
from proxy import Proxy

# As RUNNING, but items without an end, so that what happens meets full pipes.
BUSY = """
def items(worker):
    for i in range(60):
        yield f"key-{i}", worker
    while True:
        for i in range(1000):
            yield f"key-{i}", "x" * 100

class SayOrigins(DynamicOutput):
    def build(self, worker_index, worker_count):
        return OriginSink()

class OriginSink(StatelessSink):
    def write(self, item):
        if isinstance(item[1], int):
            say("from", item[1])

flow = Dataflow()
flow.input("inp", EachWorker(items))
flow.stateful_map("relay", lambda: None, lambda state, value: (state, value))
flow.output("out", SayOrigins())
"""

# Process 0 has ended all it does and waits for the others, whom their sinks hold up at the end.
DRAINING = """
class Slow(PartitionedOutput):
    def list_parts(self):
        return {str(i) for i in range(32)}  # some on each worker
    def assign_part(self, item_key):
        return item_key
    def build_part(self, for_part, resume_state):
        return SlowSink()

class SlowSink(StatefulSink):
    def write(self, value): ...
    def snapshot(self): ...
    def close(self):
        say("draining")
        while proc_id != 0 and not os.path.exists("go"):
            time.sleep(0.01)

flow = Dataflow()
flow.input("inp", EachWorker(lambda worker: [(str(i), i) for i in range(32)]))
flow.output("out", Slow())
"""


def is_draining(cluster):
    cluster.wait_for_line("draining")


def let_go(cluster):
    (cluster.directory / "go").touch()


def others_end(cluster, victim):
    for index, process in cluster.processes.items():
        if index != victim:
            ends_with_an_error(process, f"process {victim}")


def start_but_one(cluster, missing, env):
    """A cluster of three, of which two connect and wait for the third."""
    each = cluster(RUNNING, processes=3, env=env, start=False)
    for index in range(3):
        if index != missing:
            each.start(index)
    return each


def wait_until_two_are_connected(cluster, missing):
    wait_until_connected(cluster, 1 if missing == 0 else 0)


# --- killed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [RUNNING, BUSY], ids=["quiet", "busy"])
def test_a_process_killed_while_running_is_noticed_at_once_and_named(cluster, program):
    clusters = [cluster(program, processes=3, env=PATIENT) for _ in range(3)]
    for victim, each in enumerate(clusters):
        is_running(each)
        each[victim].kill()
    for victim, each in enumerate(clusters):
        others_end(each, victim)


def test_a_process_killed_while_draining_is_noticed_at_once_and_named(cluster):
    clusters = {victim: cluster(DRAINING, processes=3, env=PATIENT) for victim in (1, 2)}
    for victim, each in clusters.items():
        is_draining(each)
        each[victim].kill()
    for victim, each in clusters.items():
        others_end(each, victim)


def test_a_process_that_is_done_and_then_killed_holds_nobody_up(cluster):
    each = cluster(DRAINING, processes=3, env=PATIENT)
    is_draining(each)
    each[0].kill()
    let_go(each)
    for index in (1, 2):
        code = each[index].wait(SOON_S)
        assert code == 0 or (code == 1 and "process 0" in each[index].stderr.text), each


def test_a_process_killed_while_connecting_is_not_waited_for_for_ever(cluster):
    env = {**PATIENT, "BYTEWAX_CLUSTER_CONNECT_TIMEOUT": "4"}
    cases = [(victim, missing) for missing in range(3) for victim in range(3) if victim != missing]
    clusters = [start_but_one(cluster, missing, env) for _, missing in cases]
    for (victim, missing), each in zip(cases, clusters, strict=True):
        wait_until_two_are_connected(each, missing)
        each[victim].kill()
    for (victim, missing), each in zip(cases, clusters, strict=True):
        (survivor,) = {0, 1, 2} - {victim, missing}
        ends_with_an_error(each[survivor])
        assert any(f"process {index}" in each[survivor].stderr.text for index in (victim, missing)), each


def test_a_process_that_dies_while_connecting_may_come_back_or_ends_all(cluster):
    each = cluster(COUNTS, processes=3, env={**PATIENT, "BYTEWAX_CLUSTER_CONNECT_TIMEOUT": "5"}, start=False)
    each.start(0)
    each.start(1)
    wait_until_two_are_connected(each, missing=2)
    each[1].kill()
    each[1].wait()
    each.start(1)
    each.start(2)
    if each[0].wait() == 0:
        counts_are_right(each)
    else:
        for index, process in each.processes.items():
            ends_with_an_error(process, "process 1" if index == 0 else "process")


# --- stopped ------------------------------------------------------------------------------------------


def test_a_stopped_process_is_noticed_in_time_and_named(cluster):
    clusters = [cluster(RUNNING, processes=3, env=HASTY) for _ in range(3)]
    for victim, each in enumerate(clusters):
        is_running(each)
        each[victim].send(signal.SIGSTOP)
    for victim, each in enumerate(clusters):
        others_end(each, victim)
        each[victim].send(signal.SIGCONT)
        ends_with_an_error(each[victim], "process")


def test_a_process_stopped_while_connecting_or_draining_is_named(cluster):
    connecting = start_but_one(cluster, 2, {**HASTY, "BYTEWAX_CLUSTER_CONNECT_TIMEOUT": "20"})
    draining = cluster(DRAINING, env=HASTY)
    wait_until_two_are_connected(connecting, missing=2)
    is_draining(draining)
    connecting[1].send(signal.SIGSTOP)
    draining[1].send(signal.SIGSTOP)
    ends_with_an_error(draining[0], "process 1")
    ends_with_an_error(connecting[0], "process 1", timeout=25)
    for each in (connecting, draining):
        each[1].send(signal.SIGCONT)
    let_go(draining)
    ends_with_an_error(connecting[1], "process", timeout=25)
    # It did its part, but nobody is there any more to say that all is well.
    ends_with_an_error(draining[1], "process 0")


def test_a_process_stopped_for_less_than_the_timeout_does_no_harm(cluster):
    each = cluster(RUNNING, env={"BYTEWAX_CLUSTER_TIMEOUT": "4"})
    is_running(each)
    for process in each:
        process.send(signal.SIGSTOP)
        time.sleep(2)  # a time is what this is about
        process.send(signal.SIGCONT)
    time.sleep(2.5)  # until whoever counts wrongly has lost patience
    goes_on(each)


# --- cut off ------------------------------------------------------------------------------------------


def through_a_proxy(cluster, program, env, **options):
    """A cluster of two whose one connection goes through a proxy."""
    each = cluster(program, env=env, start=False)
    proxy = Proxy(each.addresses[0], **options)
    each.start(0)
    each.start(1, addresses=[proxy.address, each.addresses[1]])
    return each, proxy


@pytest.mark.parametrize("program", [RUNNING, BUSY], ids=["quiet", "busy"])
def test_silence_is_noticed_by_both_sides(cluster, program):
    """Nothing comes and nothing says why: no reset, as when a cable is cut."""
    each, proxy = through_a_proxy(cluster, program, HASTY)
    with proxy:
        is_running(each)
        proxy.hold()
        ends_with_an_error(each[0], "process 1")
        ends_with_an_error(each[1], "process 0")


def test_a_reset_is_noticed_at_once_by_both_sides(cluster):
    each, proxy = through_a_proxy(cluster, BUSY, PATIENT)
    with proxy:
        is_running(each)
        proxy.connection().cut()
        ends_with_an_error(each[0], "process 1")
        ends_with_an_error(each[1], "process 0")


def test_a_slow_network_changes_nothing(cluster):
    each, proxy = through_a_proxy(cluster, COUNTS, HASTY, delay_s=0.1)
    with proxy:
        counts_are_right(each)


def test_a_connection_that_breaks_into_pieces_changes_nothing(cluster):
    """The handshake, and what follows it, comes byte by byte."""

    def crumble(connection, direction, data):
        few = len(connection.seen[direction]) < 5000
        return (data[i : i + 1] for i in range(len(data))) if few else [data]

    each, proxy = through_a_proxy(cluster, COUNTS, {}, alter=crumble)
    with proxy:
        counts_are_right(each)
