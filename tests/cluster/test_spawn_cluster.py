"""`spawn_cluster` of Bytewax 0.15, and `cli_main(processes=...)`: programs that start their own cluster."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from bytewax.dataflow import Dataflow
from bytewax.execution import TestingEpochConfig, cluster_main, spawn_cluster
from bytewax.testing import TestingInput, TestingOutput, doctest_ctx

TIME_LIMIT_S = 30

# Imported by the children too, under another name.
PRELUDE = """
import multiprocessing, os, signal, sys, time
from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.execution import spawn_cluster
from bytewax.testing import TestingInput, TestingOutput

class Odd(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

def keyed(item):
    return str(item), item

def with_pid(state, item):
    return state, (item, os.getpid())

def print_pair(pair):
    say(pair[1][0], pair[1][1])

def fail(item):
    if item == 5:
        raise ValueError("five")
    return item

def fail_oddly(item):
    raise Odd(1, 2)

def die(item):
    os.kill(os.getpid(), signal.SIGKILL)

def sleep(item):
    say("ready", os.getpid())
    time.sleep(600)

def make(*mappers):
    flow = Dataflow()
    flow.input("inp", TestingInput(range(10)))
    for mapper in mappers:
        flow.map(mapper)
    flow.output("out", TestingOutput([]))
    return flow
"""


@pytest.fixture
def spawning(program, tmp_path):
    """Return a function that runs a program which does something once, and not in its children."""

    def spawning(text, *, before="", **kwargs):
        indented = "".join(f"    {line}\n" for line in text.strip().splitlines())
        (tmp_path / "spawning.py").write_text(f'{PRELUDE}\n{before}\nif __name__ == "__main__":\n{indented}')
        return program([sys.executable, "spawning.py"], **kwargs)

    return spawning


@pytest.mark.parametrize("method", ["default", "spawn", "forkserver", "fork"])
def test_processes_share_the_work(spawning, method):
    context = "" if method == "default" else f", mp_ctx=multiprocessing.get_context({method!r})"
    process = spawning(
        f"""
flow = Dataflow()
flow.input("inp", TestingInput(range(30)))
flow.map(keyed)
flow.stateful_map("pid", int, with_pid)
flow.inspect(print_pair)
flow.output("out", TestingOutput([]))
say(spawn_cluster(flow, proc_count=2, worker_count_per_proc=2{context}), os.getpid())
"""
    )
    assert process.wait() == 0, process
    *lines, last = process.stdout.lines
    assert sorted(int(line.split()[0]) for line in lines) == list(range(30))
    pids = {line.split()[1] for line in lines}
    assert len(pids) == 2
    result, our_pid = last.split()
    assert result == "None"
    assert our_pid not in pids


def test_one_process_is_the_default(spawning):
    process = spawning(
        "spawn_cluster(make(lambda_like))", before="def lambda_like(item):\n    say(item)\n    return item"
    )
    assert process.wait() == 0, process
    assert sorted(map(int, process.stdout.lines)) == list(range(10))


def test_a_list_of_a_manager_is_shared(spawning):
    process = spawning(
        """
with multiprocessing.get_context("spawn").Manager() as manager:
    out = manager.list()
    flow = Dataflow()
    flow.input("inp", TestingInput(range(10)))
    flow.output("out", TestingOutput(out))
    spawn_cluster(flow, proc_count=2)
    say(sorted(out))
"""
    )
    assert process.wait() == 0, process
    assert process.stdout.lines == [str(list(range(10)))]


def test_an_exception_is_raised_as_it_was_with_the_traceback_of_the_child(spawning):
    process = spawning(
        """
try:
    spawn_cluster(make(fail), proc_count=3)
except ValueError as ex:
    say(type(ex).__name__, str(ex).endswith("ValueError: five"))
    say("in fail" in str(ex.__cause__), str(ex.__cause__).startswith("in process "))
"""
    )
    assert process.wait() == 0, process
    assert process.stdout.lines == ["ValueError True", "True True"]


def test_an_exception_that_does_not_pickle_comes_as_text(spawning):
    process = spawning(
        """
try:
    spawn_cluster(make(fail_oddly), proc_count=2)
except RuntimeError as ex:
    say("Odd: 1 and 2" in str(ex.__cause__))
"""
    )
    assert process.wait() == 0, process
    assert process.stdout.lines == ["True"]


def test_a_child_that_is_killed_is_named(spawning):
    process = spawning(
        """
try:
    spawn_cluster(make(die), proc_count=2)
except RuntimeError as ex:
    say(ex)
"""
    )
    assert process.wait() == 0, process
    (line,) = process.stdout.lines
    assert line.startswith("process ")
    assert line.endswith(" was killed by SIGKILL")


def test_a_flow_that_does_not_pickle_is_refused_before_anything_starts(spawning):
    process = spawning(
        """
sys.modules["cloudpickle"] = sys.modules["dill"] = None  # as if not installed
try:
    spawn_cluster(make(lambda item: item), proc_count=2)
except RuntimeError as ex:
    say(ex)
say(multiprocessing.active_children())
"""
    )
    assert process.wait() == 0, process
    message, children = process.stdout.lines
    assert message.startswith("the dataflow can't be pickled to be sent to other processes")
    assert "cloudpickle" in message
    assert children == "[]"


# What the real one would do for a function as simple as ours.
CLOUDPICKLE = """
import io, marshal, pickle, types

def make_function(code):
    return types.FunctionType(marshal.loads(code), {"__builtins__": __builtins__})

class Pickler(pickle.Pickler):
    def reducer_override(self, value):
        if isinstance(value, types.FunctionType) and value.__name__ == "<lambda>":
            return make_function, (marshal.dumps(value.__code__),)
        return NotImplemented

def dumps(value):
    out = io.BytesIO()
    Pickler(out).dump(value)
    return out.getvalue()
"""


def test_functions_without_a_name_go_by_cloudpickle(spawning, tmp_path):
    (tmp_path / "cloudpickle.py").write_text(CLOUDPICKLE)
    process = spawning("spawn_cluster(make(lambda item: print(item, flush=True)))")
    assert process.wait() == 0, process
    assert sorted(map(int, process.stdout.lines)) == list(range(10))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_sigint_ends_all(spawning, method):
    process = spawning(
        f"""
import bytewax._spawn
bytewax._spawn._INTERRUPT_PATIENCE_S = 0.2  # as a sleep can't be broken off
spawn_cluster(make(sleep), proc_count=2, mp_ctx=multiprocessing.get_context({method!r}))
"""
    )
    process.stdout.wait_for("ready")
    process.send(signal.SIGINT)
    assert process.wait() == -signal.SIGINT
    assert "KeyboardInterrupt: interrupt signal received, all processes have been shut down" in process.stderr.text


def test_children_end_with_a_parent_that_is_killed(spawning):
    process = spawning("spawn_cluster(make(sleep), proc_count=2)")
    process.stdout.wait_for("ready", times=2)
    pids = [int(line.split()[1]) for line in process.stdout.lines]
    process.kill()
    deadline = time.monotonic() + TIME_LIMIT_S
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_nothing_is_left_behind(spawning):
    process = spawning(
        """
for mapper in (abs, fail, abs):
    try:
        spawn_cluster(make(mapper), proc_count=2)
    except ValueError:
        say("failed")
    say(len(os.listdir("/proc/self/fd")), multiprocessing.active_children())
"""
    )
    assert process.wait() == 0, process
    first, failed, second, third = process.stdout.lines
    assert first == second == third
    assert failed == "failed"
    assert first.endswith("[]")


# --- in threads ---------------------------------------------------------------------------------------


@pytest.fixture
def out():
    return []


@pytest.fixture
def flow(out):
    flow = Dataflow()
    flow.input("inp", TestingInput(range(100)))
    flow.map(lambda item: (str(item), item))
    flow.stateful_map("sum", int, lambda state, item: (state + item, (threading.current_thread().name, item)))
    flow.output("out", TestingOutput(out))
    return flow


def test_a_context_of_threads_needs_no_pickling(flow, out):
    spawn_cluster(flow, proc_count=2, worker_count_per_proc=2, mp_ctx=doctest_ctx)
    assert sorted(item for _, (_, item) in out) == list(range(100))
    assert {name for _, (name, _) in out} == {f"bytewax:worker-{index}" for index in range(4)}


def test_threads_leave_no_descriptor_behind(flow):
    counts = []
    for _ in range(3):
        spawn_cluster(flow, proc_count=2, mp_ctx=doctest_ctx)
        counts.append(len(os.listdir("/proc/self/fd")))
    assert counts[0] == counts[1] == counts[2]  # the first time libuv keeps some for its signals


def test_an_exception_in_a_thread_is_the_object_itself_or_alike(flow):
    flow.map(lambda item: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        spawn_cluster(flow, proc_count=2, mp_ctx=doctest_ctx)


def test_a_flow_that_is_none_fails_in_every_process():
    fds = os.listdir("/proc/self/fd")
    with pytest.raises(ValueError, match="Dataflow needs to contain at least one input"):
        spawn_cluster(Dataflow(), proc_count=2, mp_ctx=doctest_ctx)
    assert os.listdir("/proc/self/fd") == fds


def test_cluster_main_may_run_in_several_threads(flow, out, free_ports):
    addresses = [f"localhost:{port}" for port in free_ports(3)]
    threads = [
        threading.Thread(target=cluster_main, args=[flow, addresses, index], kwargs={"worker_count_per_proc": 2})
        for index in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(item for _, (_, item) in out) == list(range(100))


def test_sigint_ends_the_main_threads_part_and_with_it_the_others(program, tmp_path, free_ports):
    """It concerns the main thread alone; the parts in other threads lose a peer."""
    (tmp_path / "threads.py").write_text(
        f"""{PRELUDE}
import threading
from bytewax.execution import cluster_main
from bytewax.inputs import DynamicInput, StatelessSource

class Idle(StatelessSource):
    def next(self):
        return None

class IdleInput(DynamicInput):
    def build(self, worker_index, worker_count):
        return Idle()

addresses = [f"127.0.0.1:{{port}}" for port in map(int, sys.argv[1:])]
flow = Dataflow()
flow.input("one", TestingInput([1]))
flow.inspect(lambda item: say("ready"))
flow.input("idle", IdleInput())
flow.output("out", TestingOutput([]))

def run(index):
    try:
        cluster_main(flow, addresses, index)
    except RuntimeError:
        say("lost")

thread = threading.Thread(target=run, args=[1])
thread.start()
try:
    cluster_main(flow, addresses, 0)
except KeyboardInterrupt as ex:
    say(ex)
thread.join()
"""
    )
    process = program([sys.executable, "threads.py", *map(str, free_ports(2))])
    process.stdout.wait_for("ready")
    process.send(signal.SIGINT)
    assert process.wait() == 0, process
    assert sorted(process.stdout.lines[1:]) == [
        "interrupt signal received, all processes have been shut down",
        "lost",
    ]


# --- arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["proc_count", "worker_count_per_proc"])
@pytest.mark.parametrize(("count", "error"), [(0, ValueError), (-1, OverflowError), ("2", TypeError)])
def test_a_count_must_be_one(flow, name, count, error):
    with pytest.raises(error, match=f"argument '{name}'"):
        spawn_cluster(flow, **{name: count})


def test_other_arguments_are_checked_as_elsewhere(flow):
    with pytest.raises(TypeError, match="argument 'flow'"):
        spawn_cluster(None)
    with pytest.raises(TypeError, match="argument 'recovery_config'"):
        spawn_cluster(flow, recovery_config="directory")
    with pytest.raises(TypeError, match="argument 'epoch_config'"):
        spawn_cluster(flow, epoch_config=1)
    with pytest.raises(TypeError):
        spawn_cluster(flow, TestingEpochConfig())


def test_epochs_are_those_of_the_config(out):
    epochs = []
    flow = Dataflow()
    flow.input("inp", TestingInput(range(5)))
    flow.inspect_epoch(lambda epoch, item: epochs.append(epoch))
    flow.output("out", TestingOutput(out))
    spawn_cluster(flow, epoch_config=TestingEpochConfig(), mp_ctx=doctest_ctx)
    assert epochs == list(range(5))


def test_it_does_nothing_under_the_run_script(program, tmp_path):
    (tmp_path / "under.py").write_text(
        f"{PRELUDE}\nflow = Dataflow()\nflow.input('inp', TestingInput(range(3)))\nflow.output('out', StdOutput())\n"
        "say(spawn_cluster(flow, proc_count=2))\n"
    )
    process = program([sys.executable, "-m", "bytewax.run", "under"])
    assert process.wait() == 0, process
    assert process.stdout.lines == ["None", "0", "1", "2"]


# --- cli_main -----------------------------------------------------------------------------------------


CLI = f"""{PRELUDE}
from bytewax.run import cli_main
flow = make(keyed)
flow.stateful_map("pid", int, with_pid)
flow.inspect(print_pair)
flow.output("more", TestingOutput([]))
"""


def test_cli_main_starts_its_program_again(program, tmp_path):
    (tmp_path / "cli.py").write_text(f"{CLI}\ncli_main(flow, processes=2, workers_per_process=2)\nsay('done')\n")
    process = program([sys.executable, "cli.py"])
    assert process.wait() == 0, process
    lines = [line for line in process.stdout.lines if line != "done"]
    assert sorted(int(line.split()[0]) for line in lines) == list(range(10))
    assert len({line.split()[1] for line in lines}) == 2
    assert process.stdout.lines.count("done") == 3


def test_cli_main_raises_when_a_process_failed(program, tmp_path):
    (tmp_path / "cli.py").write_text(
        f"{CLI}\nflow = make(fail)\ntry:\n    cli_main(flow, processes=2)\nexcept RuntimeError as ex:\n"
        "    say(ex)\n    raise\n"
    )
    process = program([sys.executable, "cli.py"])
    assert process.wait() == 1, process
    assert "exited with code 1" in process.stdout.lines[-1]
    assert process.stdout.lines[-1].endswith("; look for errors above")
