"""What the tests of behaviour share: the ways to run a dataflow, and flows around what is tested."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading

import pytest

from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicInput, PartitionedInput, StatefulSource, StatelessSource
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main

TIME_LIMIT_S = 30  # for what a test waits for; never the time that it takes


class EntryPoint:
    """Runs a dataflow: on one worker in this thread, or on two in their own."""

    def __init__(self, name, worker_count):
        self.name = name
        self.worker_count = worker_count

    def __call__(self, flow, **kwargs):
        if self.name == "run_main":
            return run_main(flow, **kwargs)
        return cluster_main(flow, [], 0, worker_count_per_proc=self.worker_count, **kwargs)

    @property
    def in_threads(self):
        return self.name == "cluster_main"


ENTRY_POINTS = [EntryPoint("run_main", 1), EntryPoint("cluster_main", 2)]


@pytest.fixture(params=ENTRY_POINTS, ids=lambda entry_point: entry_point.name)
def entry_point(request):
    """Each way to run a dataflow."""
    return request.param


@pytest.fixture
def collect():
    """Return a function that runs items through steps on one worker, and returns what comes out."""

    def collect(items, *add_steps, run=run_main, **kwargs):
        out = []
        flow = Dataflow()
        flow.input("inp", TestingInput(items))
        for add_step in add_steps:
            add_step(flow)
        flow.output("out", TestingOutput(out))
        run(flow, **kwargs)
        return out

    return collect


class ListSource(StatefulSource, StatelessSource):
    """A source written in Python: gives what is in a list, and notes each call."""

    def __init__(self, items, calls=None):
        self.items = list(items)
        self.position = 0
        self.calls = calls if calls is not None else []

    def next(self):
        self.calls.append("next")
        if self.position == len(self.items):
            raise StopIteration
        item = self.items[self.position]
        self.position += 1
        if isinstance(item, BaseException):
            raise item
        return item

    def snapshot(self):
        self.calls.append("snapshot")
        return self.position

    def close(self):
        self.calls.append("close")


class Parts(PartitionedInput):
    """Partitions by name, each a source or what makes one."""

    def __init__(self, parts):
        self.parts = parts

    def list_parts(self):
        return set(self.parts)

    def build_part(self, for_part, resume_state):
        part = self.parts[for_part]
        return part() if callable(part) else part


class EveryWorker(DynamicInput):
    """What `build` is to return, as a function of worker index and count."""

    def __init__(self, build):
        self.build_for = build

    def build(self, worker_index, worker_count):
        return self.build_for(worker_index, worker_count)


@pytest.fixture
def list_source():
    return ListSource


@pytest.fixture
def parts():
    return Parts


@pytest.fixture
def every_worker():
    return EveryWorker


@pytest.fixture(autouse=True)
def no_thread_is_left():
    """Whatever ends a run, its threads are gone then."""
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    assert not any(thread.name.startswith("bytewax:") for thread in left), left
    for thread in left:  # those of other libraries may take a moment
        thread.join(TIME_LIMIT_S)
        assert not thread.is_alive()


class Program:
    """A Python program that runs on its own, with its output as it comes."""

    def __init__(self, words, **kwargs):
        self.process = subprocess.Popen(
            [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, **kwargs
        )

    def next_line(self, stream):
        """Wait for a line of `stdout` or `stderr`, and return it."""
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([stream], [], [], TIME_LIMIT_S)
            assert ready, f"no line came in time, but {line!r}"
            byte = stream.read(1)
            if not byte:
                raise EOFError(f"ended after {line!r}")
            line += byte
        return line.decode().rstrip("\n")

    def wait_for_line(self, text):
        """Wait until a line of the standard output is `text`."""
        try:
            while self.next_line(self.process.stdout) != text:
                pass
        except EOFError:
            pytest.fail(f"ended before {text!r} was printed: {self.end()}")

    def wait_for_error(self, text):
        """Wait until a line of the standard error contains `text`."""
        while text not in self.next_line(self.process.stderr):
            pass

    def end(self):
        """Wait for its end; return exit code, output since the last line waited for, and errors."""
        stdout, stderr = self.process.communicate(timeout=TIME_LIMIT_S)
        return self.process.returncode, stdout.decode(), stderr.decode()

    def send(self, number):
        self.process.send_signal(number)


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a program, given its text or its command line."""
    programs = []

    def start(text=None, *, words=None, env=None):
        if words is None:
            path = tmp_path / "program.py"
            path.write_text(text)
            words = ["-u", str(path)]
        here = {k: v for k, v in os.environ.items() if not k.startswith("BYTEWAX_") or k == "BYTEWAX_NO_REBUILD"}
        program = Program(words, cwd=tmp_path, env={**here, **(env or {})})
        programs.append(program)
        return program

    yield start
    for program in programs:
        if program.process.poll() is None:
            program.process.kill()
            program.process.communicate()


@pytest.fixture
def free_port():
    """A port that nothing listens on."""
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
