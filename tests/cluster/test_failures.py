"""How the run of a cluster ends when something fails, or somebody ends it, in one of its processes."""

import os
import signal
import socket
import time

import pytest

TIME_LIMIT_S = 30
INTERRUPTED = "KeyboardInterrupt: interrupt signal received, all processes have been shut down"


def wait_until(fact):
    """Ask again and again, as nobody tells."""
    deadline = time.monotonic() + TIME_LIMIT_S
    while not fact():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def listens(address):
    """Tell whether somebody accepts connections there."""
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def thread_count(process):
    return len(os.listdir(f"/proc/{process.pid}/task"))


# Each worker gives an item, and then waits; the one that is named by the file "go" fails.
FAILING = """
def fail_here(item):
    say("failing", time.monotonic())
    raise ValueError("what happened")

def items(worker):
    yield f"ready {worker}"
    while True:
        yield f"fail {worker}" if os.path.exists(f"go {worker}") else None

def step(item):
    if item is not None and item.startswith("fail"):
        fail_here(item)
    if item is not None:
        say(item)
    return item

flow = Dataflow()
flow.input("inp", EachWorker(items))
flow.map(step)
flow.output("out", TestingOutput([]))
"""
CATCHING = """
try:
    cluster_main(flow, addresses, proc_id, worker_count_per_proc=worker_count)
except RuntimeError as ex:
    print("caught", time.monotonic(), type(ex).__name__, type(ex.__cause__).__name__, flush=True)
    print([t.name for t in threading.enumerate() if t is not threading.main_thread()], flush=True)
    print(ex, file=sys.stderr, flush=True)
    print("the end", file=sys.stderr, flush=True)
"""


def ready(cluster, workers=2):
    for index, process in cluster.processes.items():
        for worker in range(workers * index, workers * index + workers):
            process.stdout.wait_for(f"ready {worker}")


@pytest.mark.parametrize("worker", range(4))
def test_an_exception_in_a_worker_ends_all_processes_and_is_told_in_each(cluster, worker):
    running = cluster(FAILING, workers=2, run=CATCHING)
    ready(running)
    (running.directory / f"go {worker}").touch()
    assert running.wait() == [0, 0], str(running)
    here, there = running[worker // 2], running[1 - worker // 2]

    caught = here.stdout.wait_for("caught").split()
    assert caught[2:] == ["BytewaxRuntimeError", "ValueError"]
    assert (
        f"Worker thread died; look for errors above (worker {worker} of process {worker // 2}, in or after step"
        in here.stderr.text
    )
    assert f"<bytewax:worker-{worker}> ValueError: error calling `map` mapper in step" in here.stderr.text

    caught = there.stdout.wait_for("caught").split()
    assert caught[2:] == ["BytewaxRuntimeError", "NoneType"]
    message = f"process {worker // 2} failed: worker {worker} died, in or after step"
    told = there.stderr.text
    assert message in told
    assert f"<bytewax:worker-{worker} of process {worker // 2}> ValueError: error calling `map` mapper" in told
    assert told[told.index(message) :].count("in fail_here") >= 1, "the traceback is in the message"
    assert "what happened" in told[told.index(message) :]
    for process in running:
        assert process.stdout.lines[-1] == "[]", "no thread is left"


def test_all_end_within_a_second(cluster):
    """In the best of a few tries: this machine may be busy."""
    took = []
    while len(took) < 5 and min(took, default=2) > 1:
        running = cluster(FAILING, processes=3, run=CATCHING)
        ready(running, workers=1)
        (running.directory / "go 1").touch()
        began = float(running[1].stdout.wait_for("failing").split()[1])
        took.append(max(float(process.stdout.wait_for("caught").split()[1]) for process in running) - began)
        assert running.wait() == [0, 0, 0], str(running)
    assert min(took) <= 1


STUCK = """
def items(worker):
    yield f"ready {worker}"
    if worker == 0:
        while not os.path.exists("go"):
            yield None
        raise ValueError("what happened")
    say("stuck")
    STAY

flow = Dataflow()
flow.input("inp", EachWorker(items))
flow.inspect(lambda item: item and say(item))
flow.output("out", TestingOutput([]))
"""


def test_a_worker_that_stays_in_python_code_is_broken_into_when_another_process_fails(cluster):
    running = cluster(STUCK.replace("STAY", "while True: pass"), run=CATCHING)
    running[0].stdout.wait_for("ready")
    running[1].stdout.wait_for("stuck")
    (running.directory / "go").touch()
    assert running.wait() == [0, 0], str(running)
    assert "process 0 failed: worker 0 died" in running[1].stderr.text


def test_one_that_blocks_is_waited_for_and_named(cluster):
    running = cluster(STUCK.replace("STAY", "time.sleep(600)"), run=CATCHING)
    running[0].stdout.wait_for("ready")
    running[1].stdout.wait_for("stuck")
    (running.directory / "go").touch()
    assert running[0].wait() == 0
    running[1].stderr.wait_for("bytewax: waiting for worker 1, which is in the user's code in step 'inp'")


# --- interrupts ---------------------------------------------------------------------------------------


IDLE = """
flow = Dataflow()
flow.input("inp", EachWorker(lambda worker: forever(f"ready {worker}")))
flow.inspect(lambda item: item and say(item))
flow.output("out", TestingOutput([]))
"""


def test_sigint_while_it_connects(cluster):
    running = cluster(IDLE, start=False)
    process = running.start(1)
    wait_until(lambda: listens(running.addresses[1]))
    process.send(signal.SIGINT)
    assert process.wait() == -signal.SIGINT, str(process)
    assert INTERRUPTED in process.stderr.text


@pytest.mark.parametrize("index", [0, 1])
def test_sigint_while_it_runs(cluster, index):
    running = cluster(IDLE)
    ready(running, workers=1)
    running[index].send(signal.SIGINT)
    assert running[index].wait() == -signal.SIGINT, str(running)
    assert INTERRUPTED in running[index].stderr.text
    assert running[1 - index].wait() == 1, str(running)
    assert f"process {index} ended the run: interrupted by KeyboardInterrupt" in running[1 - index].stderr.text


# The worker of process 0 is done at once, that of process 1 stays until there is a file "go".
UNEVEN = """
def items(worker):
    if worker == 0:
        return
    yield "ready 1"
    while not os.path.exists("go"):
        yield None
    LAST

flow = Dataflow()
flow.input("inp", EachWorker(items))
flow.inspect(lambda item: item and say(item))
flow.output("out", TestingOutput([]))
"""


def drained(cluster):
    """Process 0 only waits for the other: of its threads there are the main one and the one of the connections."""
    cluster[1].stdout.wait_for("ready 1")
    wait_until(lambda: thread_count(cluster[0]) == 2)


def test_a_process_that_is_done_waits_for_the_others(cluster):
    running = cluster(UNEVEN.replace("LAST", "return"))
    drained(running)
    assert running[0].popen.poll() is None
    (running.directory / "go").touch()
    assert running.wait() == [0, 0], str(running)
    assert [process.stderr.text for process in running] == ["", ""]


def test_a_process_that_is_done_fails_with_one_that_fails_later(cluster):
    running = cluster(UNEVEN.replace("LAST", "raise ValueError('what happened')"))
    drained(running)
    (running.directory / "go").touch()
    assert running.wait() == [1, 1], str(running)
    assert "process 1 failed: worker 1 died, in or after step 'inp'" in running[0].stderr.text
    assert "what happened" in running[0].stderr.text


def test_sigint_while_it_waits_for_the_others(cluster):
    running = cluster(UNEVEN)
    drained(running)
    running[0].send(signal.SIGINT)
    assert running[0].wait() == -signal.SIGINT, str(running)
    assert INTERRUPTED in running[0].stderr.text
    assert running[1].wait() == 1, str(running)
    assert "process 0 ended the run: interrupted by KeyboardInterrupt" in running[1].stderr.text


def test_sigterm_ends_one_process_and_its_peers_fail(cluster):
    running = cluster(IDLE, processes=3)
    ready(running, workers=1)
    running[1].send(signal.SIGTERM)
    assert running.wait() == [1, -signal.SIGTERM, 1], str(running)
    for index in (0, 2):
        assert "process 1 (" in running[index].stderr.text


HANDLER = """
def stop(*args):
    raise SystemExit(3)

signal.signal(signal.SIGTERM, stop)
"""


def test_what_a_handler_of_the_program_raises_ends_all_while_it_connects(cluster):
    running = cluster(HANDLER + IDLE, start=False)
    process = running.start(1)
    wait_until(lambda: listens(running.addresses[1]))
    process.send(signal.SIGTERM)
    assert process.wait() == 3, str(process)


def test_what_a_handler_of_the_program_raises_ends_all_while_it_waits_for_the_others(cluster):
    running = cluster(HANDLER + UNEVEN)
    drained(running)
    running[0].send(signal.SIGTERM)
    assert running.wait() == [3, 1], str(running)
    assert "process 0 ended the run: interrupted by SystemExit: 3" in running[1].stderr.text


COUNTING_HANDLER = """
signal.signal(signal.SIGUSR1, lambda *args: say("handled"))
"""


def test_a_handler_that_raises_nothing_is_called_in_every_phase(cluster):
    running = cluster(COUNTING_HANDLER + UNEVEN.replace("LAST", "return"), start=False)
    running.start(0)
    wait_until(lambda: listens(running.addresses[0]))
    running[0].send(signal.SIGUSR1)
    running[0].stdout.wait_for("handled", times=1)
    running.start(1)
    drained(running)
    running[0].send(signal.SIGUSR1)
    running[0].stdout.wait_for("handled", times=2)
    running[1].send(signal.SIGUSR1)
    running[1].stdout.wait_for("handled", times=1)
    (running.directory / "go").touch()
    assert running.wait() == [0, 0], str(running)


def test_what_a_handler_of_the_program_raises_ends_all(cluster):
    running = cluster(HANDLER + IDLE)
    ready(running, workers=1)
    running[0].send(signal.SIGTERM)
    assert running.wait() == [3, 1], str(running)
    assert "process 0 ended the run: interrupted by SystemExit: 3" in running[1].stderr.text


# --- items that can't travel --------------------------------------------------------------------------


# Worker 0 sends each kind of item to both workers.
ITEMS = """
import itertools

class Broken:
    def __reduce__(self):
        return fail_there, ()

def fail_there():
    raise ValueError("not here")

flow = Dataflow()
flow.input("inp", EachWorker(lambda worker: (MAKE for i in range(100)) if worker == 0 else iter(())))
flow.map(lambda item, number=itertools.count(): (str(next(number)), item))
flow.stateful_map("keyed step", int, lambda state, item: (state, None))
flow.output("out", TestingOutput([]))
"""


def test_an_item_that_cannot_be_pickled(cluster):
    running = cluster(ITEMS.replace("MAKE", "threading.Lock()"))
    assert running.wait() == [1, 1], str(running)
    for process in running:
        assert "cannot pickle '_thread.lock' object" in process.stderr.text
        assert "keyed step" in process.stderr.text
    assert "process 0 failed: worker 0 died" in running[1].stderr.text


def test_an_item_that_cannot_be_unpickled(cluster):
    running = cluster(ITEMS.replace("MAKE", "Broken()"))
    assert running.wait() == [1, 1], str(running)
    for process in running:
        assert "ValueError: not here" in process.stderr.text
        assert "keyed step" in process.stderr.text
    assert "process 1 failed: worker 1 died" in running[0].stderr.text


# --- starting -----------------------------------------------------------------------------------------


def test_a_process_that_never_comes_is_named(cluster):
    running = cluster(IDLE, processes=3, env={"BYTEWAX_CLUSTER_CONNECT_TIMEOUT": "1"}, start=False)
    running.start(0)
    running.start(2)
    assert running.wait() == [1, 1], str(running)
    for process in running:
        assert "RuntimeError" in process.stderr.text
        assert f"process 1 ({running.addresses[1]})" in process.stderr.text
        assert "ready" not in process.stdout.text, "nothing ran"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_processes_start_in_any_order(cluster, order):
    running = cluster(UNEVEN.replace("worker == 0", "True"), processes=3, start=False)
    for index in order[:-1]:
        running.start(index)
    for index in order[:-1]:
        wait_until(lambda index=index: listens(running.addresses[index]))
    running.start(order[-1])
    assert running.wait() == [0, 0, 0], str(running)


def test_a_port_in_use(cluster):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        running = cluster(IDLE, addresses=[address, "127.0.0.1:1"], start=False)
        process = running.start(0)
        assert process.wait() == 1
    assert "BytewaxRuntimeError: error building timely communication pipeline" in process.stderr.text
    assert "Address already in use" in process.stderr.text


# --- one process --------------------------------------------------------------------------------------


IN_THREADS = """
def run(index):
    out = []
    flow = Dataflow()
    flow.input("inp", EachWorker(lambda worker: iter([("a", 1), ("b", 1), ("c", 1)])))
    flow.stateful_map("count", int, lambda count, one: (count + one, count + one))
    flow.inspect(lambda item: say("worker of", threading.current_thread().name))
    flow.output("out", TestingOutput(out))
    cluster_main(flow, ADDRESSES, index)
    for item in out:
        say("item", *item)

threads = [threading.Thread(target=run, args=(index,)) for index in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
say("all ended")
"""


def test_several_processes_of_a_cluster_as_threads_of_one(cluster, free_ports):
    addresses = [f"127.0.0.1:{port}" for port in free_ports(3)]
    running = cluster("", run=IN_THREADS.replace("ADDRESSES", repr(addresses)), addresses=["-"])
    running[0].stdout.wait_for("all ended")
    assert running.wait() == [0], str(running)
    items = sorted(line for line in running[0].stdout.lines if line.startswith("item"))
    assert items == sorted(f"item {key} {count}" for key in "abc" for count in (1, 2, 3))
    assert running[0].stderr.text == ""


FAILING_IN_THREADS = """
def run(index):
    flow = Dataflow()
    flow.input("inp", EachWorker(lambda worker: iter([1]) if worker == 1 else forever()))
    flow.map(lambda item: item and 1 / 0)
    flow.output("out", TestingOutput([]))
    try:
        cluster_main(flow, ADDRESSES, index)
    except RuntimeError as ex:
        say("caught in", index, str(ex).splitlines()[0])

threads = [threading.Thread(target=run, args=(index,)) for index in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
say([t.name for t in threading.enumerate() if t is not threading.main_thread()])
"""


def test_a_failure_in_one_of_several_in_threads(cluster, free_ports):
    addresses = [f"127.0.0.1:{port}" for port in free_ports(3)]
    running = cluster("", run=FAILING_IN_THREADS.replace("ADDRESSES", repr(addresses)), addresses=["-"])
    assert running.wait() == [0], str(running)
    running[0].stdout.wait_for("caught in 1 Worker thread died; look for errors above (worker 1 of process 1")
    for index in (0, 2):
        running[0].stdout.wait_for(f"caught in {index} process 1 failed: worker 1 died")
    assert running[0].stdout.lines[-1] == "[]"
