"""A cluster that has too little of something, and what it leaves behind."""

import contextlib
import os
import socket
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
    counts_are_right,
    cpu_seconds,
    ends_with_an_error,
    goes_on,
    is_running,
    port_of,
    wait_until,
)

SHORT = {**PATIENT, "BYTEWAX_CLUSTER_CONNECT_TIMEOUT": "3"}

# How many descriptors more than now the run of process 0 may open.
FEW_DESCRIPTORS = """
import os, resource
if proc_id == 0:
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + FEW, 4096))
"""


def test_a_process_without_descriptors_says_so(cluster):
    """Each number of them is one too few in another place; with enough all goes well."""
    clusters = {few: cluster(FEW_DESCRIPTORS.replace("FEW", str(few)) + COUNTS, env=SHORT) for few in range(18)}
    codes = {few: each.wait() for few, each in clusters.items()}
    for few, each in clusters.items():
        if codes[few] == [0, 0]:
            counts_are_right(each)
            continue
        assert codes[few] == [1, 1], each
        assert "open files" in each[0].stderr.text, each
        ends_with_an_error(each[1], "process 0")
    assert codes[0] == [1, 1]
    assert codes[17] == [0, 0], clusters[17]


def test_a_running_process_without_descriptors_goes_on(cluster):
    """Strangers find no descriptor left; the peers that are connected don't notice."""
    limit = """
import resource

def limit(item, done=[]):
    if not done:
        highest = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 3, 4096))
        done.append(True)
    return item
"""
    each = cluster(limit + RUNNING.replace("flow.map(", "flow.map(limit)\nflow.map(", 1))
    is_running(each)
    port = port_of(each.addresses[0])
    strangers = []
    for _ in range(50):
        with contextlib.suppress(OSError):  # reset before it is complete
            strangers.append(socket.create_connection(("127.0.0.1", port), timeout=10))
    before = cpu_seconds(each[0])
    time.sleep(1)  # what it must not do meanwhile is try again and again
    assert cpu_seconds(each[0]) - before < 0.5
    for stranger in strangers:
        stranger.close()
    goes_on(each)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_stdout_that_is_full_ends_the_run(cluster):
    each = cluster(RUNNING, env=PATIENT, start=False)
    each.start(0, wrap=["sh", "-c", 'exec "$@" > /dev/full', "sh"])
    each.start(1)
    for process in each:
        ends_with_an_error(process, "No space left on device")


def test_a_stdout_that_nobody_reads_holds_up_and_ends_nothing(cluster):
    """The worker of process 0 waits in write() for longer than the time-out."""
    program = """
def items(worker):
    return [(f"key-{i % 50}", "x" * 1000) for i in range(1000)]
flow = Dataflow()
flow.input("inp", EachWorker(items))
flow.stateful_map("relay", lambda: None, lambda state, item: (state, item))
flow.output("out", Say())
"""
    each = cluster(program, env=HASTY, start=False)
    reader, writer = os.pipe()
    each.start(0, wrap=["sh", "-c", f'exec "$@" > /proc/{os.getpid()}/fd/{writer}', "sh"])
    each.start(1)
    process = each[0]

    def is_stuck():
        return "pipe" in "".join(
            Path(f"/proc/{process.pid}/task/{task}/wchan").read_text()
            for task in os.listdir(f"/proc/{process.pid}/task")
        )

    wait_until(is_stuck, "it waits for a reader")
    time.sleep(4)  # longer than the time-out, by which nobody must be ended
    assert [process.popen.poll() for process in each] == [None, None], each
    os.close(writer)
    with open(reader, "rb") as stream:
        text = stream.read()
    assert each.wait() == [0, 0], each
    assert text.count(b"\n") + len(each[1].stdout.lines) == 2000


REPEATED = """
import contextlib, gc, io

def run_all(make):
    failures = []
    def run(index):
        try:
            cluster_main(make(), addresses, index, worker_count_per_proc=2)
        except RuntimeError as error:
            failures.append(error)
    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(addresses))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures

def good():
    flow = Dataflow()
    flow.input("inp", EachWorker(lambda worker: [(f"key-{i % 10}", [i]) for i in range(200)]))
    flow.stateful_map("sum", lambda: 0, lambda total, item: (total + item[0], total))
    flow.output("out", TestingOutput([]))
    return flow

def bad():
    flow = good()
    flow.map(lambda item: 1 / (item[1] < 500))
    flow.output("late", TestingOutput([]))
    return flow

def state():
    gc.collect()
    with open("/proc/self/statm") as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    return resident, len(os.listdir("/proc/self/fd")), threading.active_count(), tasks()

def tasks():
    # One that was joined may be seen for a moment.
    counts = []
    for _ in range(20):
        counts.append(len(os.listdir("/proc/self/task")))
        time.sleep(0.01)
    return min(counts)

def some(count):
    with contextlib.redirect_stderr(io.StringIO()):
        for _ in range(count):
            assert run_all(good) == []
            assert len(run_all(bad)) == len(addresses)

some(30)
before = state()
some(100)
after = state()
say(after[0] - before[0], after[1] - before[1], after[2] - before[2], after[3] - before[3])
"""


def test_runs_leave_no_descriptor_no_thread_and_no_memory(cluster):
    """Whole clusters in threads of one process, which end well and badly in turn."""
    each = cluster(REPEATED, processes=2, run="", start=False, env=PATIENT)
    process = each.start(0)
    assert process.wait(60) == 0, process
    memory, *others = map(int, process.stdout.lines[-1].split())
    assert others == [0, 0, 0]
    assert memory < 3_000_000  # 200 runs of two processes: a leak of 8 kB in each shows


IDLE = RUNNING.replace("forever(", "pauses(")
PAUSES = """
def pauses(*items):
    yield from forever_until("quiet", items)
    say("waits")
    while not os.path.exists("go"):
        time.sleep(0.2)

def forever_until(name, items):
    yield from items
    while not os.path.exists(name):
        yield None
"""


def test_processes_that_wait_use_no_cpu(cluster):
    each = cluster(PAUSES + IDLE)
    is_running(each)
    (each.directory / "quiet").touch()
    each.wait_for_line("waits")
    before = [cpu_seconds(process) for process in each]
    time.sleep(2)
    used = [cpu_seconds(process) - start for process, start in zip(each, before, strict=True)]
    assert max(used) < 0.04, used  # 2 %, which is what a busy machine makes of nothing
    (each.directory / "go").touch()
    assert each.wait() == [0, 0], each
