"""The arguments of run_main and cluster_main, and how runs begin and end."""

import itertools
import socket
import threading
import time
from datetime import timedelta

import pytest

import bytewax.execution
import bytewax.testing
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main


@pytest.fixture
def out():
    return []


@pytest.fixture
def flow(out):
    flow = Dataflow()
    flow.input("inp", TestingInput(range(3)))
    flow.map(lambda item: item + 1)
    flow.output("out", TestingOutput(out))
    return flow


def test_entry_points_are_the_same_in_both_modules():
    assert bytewax.execution.run_main is bytewax.testing.run_main
    assert bytewax.execution.cluster_main is bytewax.testing.cluster_main


def test_a_run_returns_none_when_all_is_done(flow, out, entry_point):
    assert entry_point(flow) is None
    assert sorted(out) == [1, 2, 3]


@pytest.mark.parametrize("flow", [None, 1, "flow", TestingInput([])], ids=repr)
def test_a_flow_must_be_a_dataflow(flow, entry_point):
    with pytest.raises(TypeError, match="argument 'flow'"):
        entry_point(flow)


@pytest.mark.parametrize("interval", [1, 0.5, "1s"], ids=repr)
def test_an_epoch_interval_must_be_a_timedelta(flow, out, entry_point, interval):
    with pytest.raises(TypeError, match="argument 'epoch_interval'"):
        entry_point(flow, epoch_interval=interval)
    assert out == []


def test_an_epoch_interval_must_not_be_negative(flow, entry_point):
    with pytest.raises(ValueError, match="invalid epoch interval"):
        entry_point(flow, epoch_interval=timedelta(microseconds=-1))


@pytest.mark.parametrize("interval", [None, timedelta(0), timedelta(microseconds=1), timedelta.max], ids=repr)
def test_an_epoch_interval_may_be_any_other(flow, out, entry_point, interval):
    entry_point(flow, epoch_interval=interval)
    assert sorted(out) == [1, 2, 3]


def test_options_are_by_keyword_only(flow):
    with pytest.raises(TypeError):
        run_main(flow, timedelta(0))
    with pytest.raises(TypeError):
        cluster_main(flow, [], 0, timedelta(0))


def test_epochs_are_given_in_one_way_only(flow, entry_point):
    config = bytewax.execution.TestingEpochConfig()
    with pytest.raises(TypeError, match="not both"):
        entry_point(flow, epoch_interval=timedelta(0), epoch_config=config)


def test_an_epoch_config_must_be_one(flow, entry_point):
    with pytest.raises(TypeError, match="argument 'epoch_config'"):
        entry_point(flow, epoch_config=timedelta(0))


@pytest.mark.parametrize("config", [1, "directory", object()], ids=["int", "str", "object"])
def test_recovery_is_refused(flow, out, entry_point, config):
    with pytest.raises(TypeError, match="argument 'recovery_config'"):
        entry_point(flow, recovery_config=config)
    assert out == []


@pytest.mark.parametrize("missing", ["input", "output"])
def test_a_dataflow_needs_input_and_output(capfd, entry_point, missing):
    flow = Dataflow()
    if missing != "input":
        flow.input("inp", TestingInput([1]))
    if missing != "output":
        flow.output("out", TestingOutput([]))
    phrase = f"Dataflow needs to contain at least one {missing}"
    if entry_point.in_threads:
        with pytest.raises(RuntimeError, match="Worker thread died; look for errors above") as caught:
            entry_point(flow)
        assert phrase in str(caught.value.__cause__)
        assert phrase in capfd.readouterr().err
    else:
        with pytest.raises(ValueError, match=phrase):
            entry_point(flow)


def test_a_missing_input_is_named_before_a_missing_output():
    with pytest.raises(ValueError, match="at least one input"):
        run_main(Dataflow())


# --- cluster_main -------------------------------------------------------------------------------------


@pytest.mark.parametrize("addresses", [None, [], ()], ids=repr)
def test_no_addresses_are_a_cluster_of_one_process(flow, out, addresses):
    cluster_main(flow, addresses, 0, worker_count_per_proc=2)
    assert sorted(out) == [1, 2, 3]


def test_arguments_of_cluster_main_have_names(flow, out):
    cluster_main(flow=flow, addresses=[], proc_id=0)
    assert sorted(out) == [1, 2, 3]
    with pytest.raises(TypeError):
        cluster_main(flow, [])
    with pytest.raises(TypeError):
        cluster_main(flow, proc_id=0)


@pytest.mark.parametrize("addresses", ["localhost:2101", b"localhost:2101", 1, [1], [None]], ids=repr)
def test_addresses_must_be_a_list_of_str(flow, addresses):
    with pytest.raises(TypeError, match="argument 'addresses'"):
        cluster_main(flow, addresses, 0)


@pytest.mark.parametrize(
    ("addresses", "proc_id"), [([], 1), (None, 5), (["localhost:2101"], 1), (["localhost:2101", "localhost:2102"], 2)]
)
def test_proc_id_must_be_in_range(flow, addresses, proc_id):
    with pytest.raises(ValueError, match="argument 'proc_id'"):
        cluster_main(flow, addresses, proc_id)


@pytest.mark.parametrize("name", ["proc_id", "worker_count_per_proc"])
def test_a_number_that_is_negative_is_an_overflow_error(flow, name):
    with pytest.raises(OverflowError, match=name):
        cluster_main(flow, [], **{"proc_id": 0, name: -1})


@pytest.mark.parametrize("name", ["proc_id", "worker_count_per_proc"])
@pytest.mark.parametrize("value", [None, "0", 1.5], ids=repr)
def test_a_number_must_be_an_integer(flow, name, value):
    with pytest.raises(TypeError, match=name):
        cluster_main(flow, [], **{"proc_id": 0, name: value})


def test_there_must_be_a_worker(flow):
    with pytest.raises(ValueError, match="worker_count_per_proc"):
        cluster_main(flow, [], 0, worker_count_per_proc=0)


@pytest.mark.parametrize("worker_count", [1, 2, 7])
def test_any_number_of_workers_will_do(flow, out, worker_count):
    cluster_main(flow, [], 0, worker_count_per_proc=worker_count)
    assert sorted(out) == [1, 2, 3]


def test_the_port_is_bound_for_the_run_and_free_again(flow, out, free_port):
    def connect():
        with socket.create_connection(("localhost", free_port), timeout=10):
            return "connected"

    flow.inspect(lambda item: connected.append(connect()))
    connected = []
    for _ in range(2):
        cluster_main(flow, [f"localhost:{free_port}"], 0, worker_count_per_proc=2)
    assert connected == ["connected"] * 6
    assert sorted(out) == [1, 1, 2, 2, 3, 3]
    with pytest.raises(ConnectionRefusedError):
        connect()


def test_a_port_in_use_is_a_runtime_error(flow, out, free_port):
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port))
        other.listen()
        with pytest.raises(RuntimeError, match="Address already in use") as caught:
            cluster_main(flow, [f"127.0.0.1:{free_port}"], 0)
    assert "error building timely communication pipeline" in str(caught.value)
    assert out == []


@pytest.mark.parametrize("address", ["", "localhost", "localhost:", ":2101", "localhost:port", "localhost:65536"])
def test_a_bad_address_is_a_runtime_error(flow, address):
    with pytest.raises(RuntimeError, match="invalid socket address") as caught:
        cluster_main(flow, [address], 0)
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_unknown_host_is_a_runtime_error(flow):
    with pytest.raises(RuntimeError, match="failed to lookup address information") as caught:
        cluster_main(flow, ["host.invalid:2101"], 0)
    assert "error building timely communication pipeline" in str(caught.value)


def test_the_port_is_free_after_a_failure(flow, free_port):
    flow.map(lambda item: 1 // 0)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="Worker thread died"):
            cluster_main(flow, [f"localhost:{free_port}"], 0)


@pytest.mark.parametrize("spec", ["none", "absent", "other"])
def test_a_run_is_not_ignored_but_under_the_run_script(flow, out, entry_point, monkeypatch, spec):
    """A notebook has no `__main__.__spec__`; `python -m` of another module has one of another name."""
    import sys
    from importlib.machinery import ModuleSpec

    main = sys.modules["__main__"]
    if spec == "absent":
        monkeypatch.delattr(main, "__spec__")
    else:
        monkeypatch.setattr(main, "__spec__", None if spec == "none" else ModuleSpec("my.program", None))
    entry_point(flow)
    assert sorted(out) == [1, 2, 3]
    monkeypatch.setattr(main, "__spec__", ModuleSpec("bytewax.run", None), raising=False)
    assert entry_point(flow) is None
    assert len(out) == 3


# --- runs beside and within runs ----------------------------------------------------------------------


def test_a_run_may_be_in_any_thread(flow, out, entry_point):
    thread = threading.Thread(target=entry_point, args=[flow])
    thread.start()
    thread.join()
    assert sorted(out) == [1, 2, 3]


def test_runs_may_be_side_by_side(flow, out, entry_point):
    threads = [threading.Thread(target=entry_point, args=[flow]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(out) == sorted([1, 2, 3] * 4)


def test_a_run_may_be_inside_a_mapper(flow, out, entry_point):
    outer = Dataflow()
    outer.input("inp", TestingInput(range(2)))
    outer.inspect(lambda item: entry_point(flow))
    outer.output("out", TestingOutput(out))
    entry_point(outer)
    assert sorted(out) == sorted([1, 2, 3] * 2 + [0, 1])


def test_a_run_inside_a_source_and_a_sink(flow, out, every_worker):
    from bytewax.inputs import StatelessSource
    from bytewax.outputs import ManualOutputConfig

    class Running(StatelessSource):
        def next(self):
            run_main(flow)
            raise StopIteration

    outer = Dataflow()
    outer.input("inp", every_worker(lambda index, count: Running()))
    outer.output("end", ManualOutputConfig(lambda index, count: lambda item: run_main(flow)))
    outer.input("two", TestingInput([1]))
    outer.output("out", ManualOutputConfig(lambda index, count: lambda item: run_main(flow)))
    run_main(outer)
    assert out == [1, 2, 3] * 2


def test_a_generator_gives_its_items_once(out):
    flow = Dataflow()
    flow.input("inp", TestingInput(item for item in range(3)))
    flow.output("out", TestingOutput(out))
    run_main(flow)
    run_main(flow)
    assert out == [0, 1, 2]


def test_a_run_goes_on_after_fork_and_thread(flow, out):
    """A child process begins with a clean engine."""
    import os

    run_main(flow)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            out.clear()
            cluster_main(flow, [], 0, worker_count_per_proc=2)
            status = 0 if sorted(out) == [1, 2, 3] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize(
    "add_steps",
    [
        lambda flow: flow.map(lambda item: item),
        lambda flow: [flow.map(abs) for _ in range(5)],
        lambda flow: flow.flat_map(lambda item: itertools.repeat(item)),
    ],
    ids=["functions in Python", "functions in C", "an iterator in C"],
)
def test_other_threads_get_their_turn(add_steps, collect, entry_point):
    """The run ends once another thread has woken up often enough; if that starves it takes minutes."""
    turns, ended = [], threading.Event()

    class Enough(Exception):
        pass

    def take_turns():
        while not ended.wait(0.001):
            turns.append(1)

    def drop(item):
        if len(turns) >= 50:
            raise Enough
        return False

    other = threading.Thread(target=take_turns)
    other.start()
    began = time.monotonic()
    with pytest.raises((Enough, RuntimeError)):
        try:
            collect(range(10**10), add_steps, lambda flow: flow.filter(drop), run=entry_point)
        finally:
            ended.set()
            other.join()
    assert time.monotonic() - began < 10  # 50 turns of 5 ms or so


TRACED = """
import sys, threading
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main

traced = set()

def trace(frame, event, arg):
    traced.add(frame.f_code.co_name)
    return trace

def mapper(item):
    return item + 1

out = []
flow = Dataflow()
flow.input("inp", TestingInput(range(3)))
flow.map(mapper)
flow.output("out", TestingOutput(out))
threading.settrace(trace)
sys.settrace(trace)
run_main(flow)
cluster_main(flow, [], 0, worker_count_per_proc=2)
sys.settrace(None)
print(sorted(out), "mapper" in traced)
"""


def test_a_run_may_be_traced(start):
    """As debuggers and coverage do. A flag left set in the interpreter would make this loop for ever."""
    code, stdout, stderr = start(TRACED).end()
    assert (code, stdout) == (0, "[1, 1, 2, 2, 3, 3] True\n"), stderr
