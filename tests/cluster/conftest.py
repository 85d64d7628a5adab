"""What the tests of clusters share: real processes that run `cluster_main`, on ports of their own."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

TIME_LIMIT_S = 30  # for what a test waits for; never the time that it takes
SECRET = "a secret of the tests"
# Below what Linux hands out by itself; only a part of it where other tests run beside these.
PORTS = tuple(map(int, os.environ.get("TEST_PORTS", "10000-32000").split("-")))

PRELUDE = """
import os, signal, sys, threading, time
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicInput, PartitionedInput, StatefulSource, StatelessSource
from bytewax.outputs import DynamicOutput, PartitionedOutput, StatefulSink, StatelessSink
from bytewax.testing import TestingInput, TestingOutput, cluster_main

proc_id, worker_count, addresses = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")  # in one piece
    sys.stdout.flush()

class EachWorker(DynamicInput):
    '''A source on each worker: what `build(worker_index)` iterates over. None: nothing now.'''
    def __init__(self, build):
        self._build = build
    def build(self, worker_index, worker_count):
        return FromIterator(self._build(worker_index))

class FromIterator(StatelessSource):
    def __init__(self, iterable):
        self._next = iter(iterable).__next__
    def next(self):
        return self._next()

def forever(*items):
    '''The items, and then nothing, for ever.'''
    yield from items
    while True:
        yield None

class Say(DynamicOutput):
    '''Prints each item.'''
    def build(self, worker_index, worker_count):
        return SaySink()

class SaySink(StatelessSink):
    def write(self, item):
        say(item)
"""
RUN = "cluster_main(flow, addresses, proc_id, worker_count_per_proc=worker_count)"


GIVEN: set[int] = set()  # each port but once: who was given one may not listen yet


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Find ports that nobody listens on or will, and that no outgoing connection takes meanwhile."""
    ports: set[int] = set()
    while len(ports) < count:
        port = random.SystemRandom().randrange(*PORTS)
        if port in GIVEN:
            continue
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        GIVEN.add(port)
        ports.add(port)
    return list(ports)


class Output:
    """What a process writes to one of its streams, as it comes."""

    def __init__(self, stream) -> None:
        self._stream = stream
        self._changed = threading.Condition()
        self._lines: list[str] = []
        self._ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream:
            with self._changed:
                self._lines.append(line.decode(errors="replace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def lines(self) -> list[str]:
        with self._changed:
            return list(self._lines)

    @property
    def text(self) -> str:
        return "".join(line + "\n" for line in self.lines)

    def wait_for(self, text: str, times: int = 1, timeout: float = TIME_LIMIT_S) -> str:
        """Wait until `text` is in `times` lines; return the last of them."""

        def found() -> list[str]:
            return [line for line in self._lines if text in line]

        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(found()) >= times, timeout)
            if len(found()) >= times:
                return found()[times - 1]
            what = "ended" if self._ended else "did not come in time"
        raise AssertionError(f"{text!r} {what}; there is:\n{self.text}")

    def wait_for_end(self, timeout: float = TIME_LIMIT_S) -> None:
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"still open; there is:\n{self.text}"


class Process:
    """One process of a cluster, or any other program."""

    def __init__(self, words, *, env=None, cwd=None, **kwargs) -> None:
        here = {k: v for k, v in os.environ.items() if not k.startswith("BYTEWAX_") or k == "BYTEWAX_NO_REBUILD"}
        self.popen = subprocess.Popen(
            words,
            cwd=cwd,
            env={**here, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **kwargs,
        )
        self.pid = self.popen.pid
        self.stdout = Output(self.popen.stdout)
        self.stderr = Output(self.popen.stderr)

    def send(self, number: int) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        """End it at once, also when it is stopped."""
        self.send(signal.SIGKILL)

    def wait(self, timeout: float = TIME_LIMIT_S) -> int:
        """Wait for its end and all its output; return the exit code."""
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs\n{self}") from None
        self.stdout.wait_for_end()
        self.stderr.wait_for_end()
        return code

    def __str__(self) -> str:
        return (
            f"process {self.pid}, exit code {self.popen.poll()}\n"
            f"--- stdout\n{self.stdout.text}--- stderr\n{self.stderr.text}---"
        )

    def close(self) -> None:
        if self.popen.poll() is None:
            self.kill()
        self.popen.wait()
        for stream in (self.popen.stdout, self.popen.stderr):
            # A child that it left behind may hold it open: then the reader keeps it.
            if not self.stdout._thread.is_alive() and not self.stderr._thread.is_alive():
                stream.close()


class Cluster:
    """Processes that run the same program, each with its own number. They are started one by one or all at once."""

    def __init__(self, directory, program, *, processes, workers, run, secret, env, addresses) -> None:
        self.directory, self._workers, self._run = directory, workers, run
        self.program = program
        self.addresses = addresses or [f"127.0.0.1:{port}" for port in free_ports(processes)]
        self.env = {} if secret is None else {"BYTEWAX_CLUSTER_SECRET": secret}
        self.env.update(env or {})
        self.processes: dict[int, Process] = {}
        self._all: list[Process] = []

    def start(self, index, program=None, *, workers=None, addresses=None, env=None, run=None, wrap=(), **kwargs):
        """Start a process; what is given holds for it alone. `wrap`: words before its command line."""
        path = self.directory / f"process_{index}_{len(self._all)}.py"
        path.write_text(f"{PRELUDE}\n{program or self.program}\n{run or self._run}\n")
        words = [*wrap, sys.executable, "-u", str(path), str(index), str(workers or self._workers)]
        process = Process(
            [*words, *(addresses or self.addresses)], env={**self.env, **(env or {})}, cwd=self.directory, **kwargs
        )
        self.processes[index] = process
        self._all.append(process)
        return process

    def start_all(self):
        for index in range(len(self.addresses)):
            self.start(index)
        return self

    def __getitem__(self, index: int) -> Process:
        return self.processes[index]

    def __iter__(self):
        return iter(self.processes.values())

    def wait_for_line(self, text: str, timeout: float = TIME_LIMIT_S) -> None:
        """Wait until every process has printed `text`."""
        for process in self:
            process.stdout.wait_for(text, timeout=timeout)

    def wait(self, timeout: float = TIME_LIMIT_S) -> list[int]:
        """Wait for the end of all; return their exit codes."""
        deadline = time.monotonic() + timeout
        return [process.wait(max(0.1, deadline - time.monotonic())) for process in self]

    def __str__(self) -> str:
        return "\n".join(f"{index}: {process}" for index, process in self.processes.items())

    def close(self) -> None:
        for process in self._all:
            process.close()


@pytest.fixture
def cluster(tmp_path):
    """Return a function that makes a cluster of a program (which leaves its dataflow in `flow`), and starts it."""
    made = []

    def cluster(
        program,
        *,
        processes=2,
        workers=1,
        run=RUN,
        secret=SECRET,
        env=None,
        addresses=None,
        start=True,
    ):
        directory = tmp_path / f"cluster_{len(made)}"
        directory.mkdir()
        new = Cluster(
            directory,
            program,
            processes=processes,
            workers=workers,
            run=run,
            secret=secret,
            env=env,
            addresses=addresses,
        )
        made.append(new)
        return new.start_all() if start else new

    yield cluster
    for each in made:
        each.close()


@pytest.fixture
def program(tmp_path):
    """Return a function that starts any other program, by its command line."""
    made = []

    def program(words, **kwargs):
        made.append(Process(words, cwd=kwargs.pop("cwd", tmp_path), **kwargs))
        return made[-1]

    yield program
    for each in made:
        each.close()


@pytest.fixture(name="free_ports")
def free_ports_fixture():
    """Return a function that finds ports which are free."""
    return free_ports
