"""A cluster of processes on this machine: the parent that starts and watches them, and a child's part.

    parent                                            child i: the same command line
    binds a socket for each child
    starts them, each with its socket, its set-up
    (addresses, secret) in a pipe, and the life pipe  take_place(): reads the set-up, lives as long as the parent
    passes on their output, line by line              runs its share of the dataflow
    passes on SIGINT and SIGTERM                      ends by them
    waits for all; if one fails, the others end too   ends if another one fails: the engine sees to it

How the parent ends:

| what happened | the children that remain get | then |
| --- | --- | --- |
| all ended well | | returns no failure |
| one failed | SIGTERM after 3 s, SIGKILL after 10 s | returns what failed |
| SIGINT | SIGINT at once, SIGKILL after 5 s or by a second SIGINT | KeyboardInterrupt |
| SIGTERM | SIGTERM at once, SIGKILL after 10 s or by a SIGINT | SystemExit(143) |
| nobody reads its output any more | as by SIGTERM | SystemExit(1) |
| it was killed | SIGKILL, from the life pipe | |
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, final

from bytewax import _engine
from bytewax._cluster import local_net, timeouts
from bytewax._relay import Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType
    from typing import Any

    from bytewax._engine import Net

__all__ = [
    "INTERRUPTED",
    "address_of",
    "bind_local",
    "close_all",
    "describe_exit",
    "die_with",
    "new_secret",
    "run_children",
    "take_double_signals_for_one",
    "take_place",
]

INTERRUPTED = "interrupt signal received, all processes have been shut down"

_VARIABLE = "__BYTEWAX_PLACE"  # tells a child its process id and descriptors
_FIRST_PORT = 2101
_SECRET_BYTES = 32
_ONE_EVENT_S = 2
_TWICE_S = 0.1
_DRAIN_S = 1
_NO_PIDFD_POLL_S = 0.05

# How long children have to end by themselves.
_AFTER_FAILURE_S = (3, 10)  # until SIGTERM, SIGKILL; those that still wait for the one that failed don't know it
_AFTER_SIGTERM_S = 10
_AFTER_SIGINT_S = 5


# --- what parent and child share ----------------------------------------------------------------------


def new_secret() -> bytes:
    """Make the secret of one run."""
    return os.urandom(_SECRET_BYTES)


def bind_local(count: int) -> list[socket.socket]:
    """Bind a loopback port for each process of a cluster, and listen: nobody else can take it meanwhile.

    The ports are 2101 and those after it, or any other one where these are in use.
    """
    bound: list[socket.socket] = []
    try:
        for index in range(count):
            port = _FIRST_PORT + index
            bound.append((_listen(port) if port <= 65535 else None) or _listen_anywhere())
    except BaseException:
        close_all(bound)
        raise
    return bound


def address_of(listener: socket.socket) -> str:
    """Write the address of a socket as `"host:port"`."""
    host, port = listener.getsockname()[:2]
    return f"{host}:{port}"


def close_all(sockets: Sequence[socket.socket]) -> None:
    """Close sockets, those that are closed or were handed on included."""
    for each in sockets:
        each.close()


def describe_exit(code: int) -> str:
    """Put into words how a process ended."""
    number = -code if code < 0 else code - 128
    name = signal.Signals(number).name if number in signal.valid_signals() and number > 0 else ""
    if code < 0:
        return f"was killed by {name or number}"
    return f"was ended by {name}" if number in (signal.SIGINT, signal.SIGTERM) else f"exited with code {code}"


def _listen(port: int) -> socket.socket | None:
    """Listen on a loopback port; None if it is in use, or not for us."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Lets a run bind the port while connections of the one before linger, not while that runs.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as ex:
        listener.close()
        if ex.errno in (errno.EADDRINUSE, errno.EACCES):
            return None
        raise
    return listener


def _listen_anywhere() -> socket.socket:
    listener = _listen(0)
    if listener is None:
        msg = "no loopback port is free"
        raise OSError(errno.EADDRINUSE, msg)
    return listener


# --- the child ----------------------------------------------------------------------------------------


class _Place:
    """Whether this process is a child that has taken its place: it does so but once."""

    is_taken = False


def take_place() -> Net | None:
    """Take this process's place in a local cluster.

    Called before any code of the user's where that is possible: from then on neither this process nor
    those that it starts can read the secret from a descriptor or the environment.

    Returns:
        What `_engine.run` is to know of the other processes; None if no parent has started this one.

    Raises:
        RuntimeError: It has taken its place already: a child runs one dataflow and starts no cluster.
    """
    if _Place.is_taken:
        msg = "this is a process of a local cluster already, and can't run another one"
        raise RuntimeError(msg)
    given = os.environ.pop(_VARIABLE, None)
    if given is None:
        return None
    _Place.is_taken = True
    process_id, life_fd, setup_fd, listen_fd = [int(part) for part in given.split(":")]
    for fd in (life_fd, setup_fd, listen_fd):
        os.set_inheritable(fd, False)
    die_with(life_fd)
    with open(setup_fd, "rb") as pipe:
        setup = json.load(pipe)
    if setup["is_terminal"] and sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a TextIOWrapper at the start
    take_double_signals_for_one()
    return local_net(setup["addresses"], process_id, bytes.fromhex(setup["secret"]), listen_fd)


def die_with(life_fd: int) -> None:
    """Have this process killed when its parent, which holds the other end of the pipe, is gone."""
    _engine._die_with(life_fd)


def take_double_signals_for_one() -> None:
    """Have SIGINT and SIGTERM handled as they are, but two of a kind in short order as one.

    A terminal or a supervisor sends them to parent and children alike, and the parent passes them on: a
    second one would break off what the first one has begun to end.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        if callable(handler):
            signal.signal(number, _OncePerEvent(handler))


class _OncePerEvent:
    def __init__(self, handler: Callable[[int, FrameType | None], object]) -> None:
        self._handler = handler
        self._last_s = float("-inf")

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        since, self._last_s = now - self._last_s, now
        if since > _ONE_EVENT_S:
            self._handler(number, frame)


# --- the parent ---------------------------------------------------------------------------------------


class _Child(NamedTuple):
    process_id: int
    process: subprocess.Popen[bytes]
    pidfd: int  # readable when it has ended; -1 if the system has none

    @property
    def name(self) -> str:
        return f"process {self.process_id} (pid {self.process.pid})"


class _Planned(NamedTuple):
    """A signal that the children which still run get at some time, unless they end before."""

    at_s: float
    number: signal.Signals
    after: str  # what they don't end after, for the message; empty for none


def run_children(process_count: int) -> list[str]:
    """Run this program's command line in several processes, which form a cluster, until all have ended.

    Args:
        process_count: How many.

    Returns:
        What failed, by process; empty if all ended well.

    Raises:
        KeyboardInterrupt: SIGINT came in.
        SystemExit: SIGTERM came in, or the standard output takes no more.
        ValueError: A variable of the environment is wrong.
        OSError: They could not be started.
    """
    timeouts()  # what is wrong there is said once, not by each child
    _fill_standard_fds()
    with _Signals() as signals:
        parent = _Parent(signals)
        try:
            parent.start(process_count)
            parent.watch()
        finally:
            parent.close()
    return parent.end()


def _fill_standard_fds() -> None:
    """Put something where a standard stream was closed, lest a pipe of ours be taken for it."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _command_line() -> list[str]:
    """Return the words that started this program: the interpreter, its flags, what it runs."""
    return [sys.executable or sys.orig_argv[0], *sys.orig_argv[1:]]


@final
class _Signals:
    """While this is entered SIGINT and SIGTERM do nothing, but that `fd` can be read.

    On another thread than the main one no signal comes, and nothing is changed. One that is ignored, as
    a shell has SIGINT ignored by what it runs in the background, stays so.
    """

    _NUMBERS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self) -> _Signals:
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)
        self._handlers: dict[signal.Signals, Any] = {}
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main:
            self._previous_fd = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
            for number in self._NUMBERS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._handlers[number] = signal.signal(number, lambda _number, _frame: None)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if self._is_main:
            signal.set_wakeup_fd(self._previous_fd)
        os.close(self.fd)
        os.close(self._write_fd)

    def take(self) -> Iterator[int]:
        """Give the numbers of those that came in since the last time."""
        try:
            numbers = os.read(self.fd, 64)
        except BlockingIOError:
            return
        yield from (number for number in numbers if number in self._NUMBERS)


class _Parent:
    """Starts the children, passes on their output and what signals come, and sees to it that all end."""

    def __init__(self, signals: _Signals) -> None:
        self._signals = signals
        self._relay = Relay()
        self._running: list[_Child] = []
        self._failures: list[str] = []
        self._plan: list[_Planned] = []
        self._signalled: int | None = None  # the first signal that came in, which ends all
        self._signalled_at_s = 0.0
        self._output_is_lost = False
        # All children hold the reading end. It has an end of file when the writing end, here, is gone.
        self._life_fd, self._our_life_fd = os.pipe()

    def start(self, process_count: int) -> None:
        listeners = bind_local(process_count)
        try:
            setup = {
                "addresses": [address_of(listener) for listener in listeners],
                "secret": new_secret().hex(),
                "is_terminal": os.isatty(1),
            }
            for process_id, listener in enumerate(listeners):
                self._start_child(process_id, listener, json.dumps(setup).encode())
                listener.close()  # or it would take connections for a child that is dead
        finally:
            close_all(listeners)

    def _start_child(self, process_id: int, listener: socket.socket, setup: bytes) -> None:
        setup_fd = _filled_pipe(setup)
        fds = (self._life_fd, setup_fd, listener.fileno())
        try:
            process = subprocess.Popen(
                _command_line(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=fds,
                env={**os.environ, _VARIABLE: ":".join(map(str, (process_id, *fds)))},
            )
        finally:
            os.close(setup_fd)
        self._running.append(_Child(process_id, process, _pidfd(process.pid)))
        assert process.stdout is not None
        assert process.stderr is not None
        self._relay.add(process.stdout, process.stderr)

    def watch(self) -> None:
        """Wait until all children have ended and their output is passed on."""
        while self._running:
            fds = [self._signals.fd, *[child.pidfd for child in self._running if child.pidfd >= 0]]
            ready = self._relay.wait(fds, self._wait_s())
            self._take_signals()
            self._check_output()
            self._reap(ready)
            self._follow_plan()
        self._drain()

    def _drain(self) -> None:
        """Write what the children have left, if need be for ever; after a signal not for long."""
        self._relay.finish()
        self._check_output()
        deadline_s = time.monotonic() + _DRAIN_S
        while self._relay.has_pending or self._relay.has_sources:
            left_s = None if self._signalled is None else deadline_s - time.monotonic()
            if left_s is not None and left_s <= 0:
                break
            self._relay.wait([self._signals.fd], left_s)
            self._relay.finish()
            self._check_output()
            self._take_signals()

    def close(self) -> None:
        """Let go of everything; children that still run, as those do after a start that failed, are killed."""
        for child in self._running:
            child.process.kill()
            child.process.wait()
            _close_pidfd(child)
        self._running.clear()
        self._relay.close()
        os.close(self._life_fd)
        os.close(self._our_life_fd)

    def end(self) -> list[str]:
        """Return or raise how all of it ended."""
        if self._signalled == signal.SIGINT:
            raise KeyboardInterrupt(INTERRUPTED)
        if self._signalled is not None:
            raise SystemExit(128 + self._signalled)
        if self._output_is_lost:
            raise SystemExit(1)
        return self._failures

    def _wait_s(self) -> float | None:
        times = [planned.at_s - time.monotonic() for planned in self._plan]
        if any(child.pidfd < 0 for child in self._running):
            times.append(_NO_PIDFD_POLL_S)
        return min(times, default=None)

    def _take_signals(self) -> None:
        for number in self._signals.take():
            if self._signalled is None:
                self._signalled = number
                self._signalled_at_s = time.monotonic()
                patience_s = _AFTER_SIGINT_S if number == signal.SIGINT else _AFTER_SIGTERM_S
                name = signal.Signals(number).name
                self._end_children((0, signal.Signals(number), ""), (patience_s, signal.SIGKILL, f"{name} was sent"))
                self._relay.hurry()
            # `timeout -s INT` sends it to its child, and to the group of that too.
            elif number == signal.SIGINT and time.monotonic() - self._signalled_at_s > _TWICE_S:
                self._end_children((0, signal.SIGKILL, ""))

    def _check_output(self) -> None:
        """End all when the output has nowhere to go; quietly if its reader left, as `head` does."""
        error = self._relay.stdout.error
        if error is None or self._output_is_lost:
            return
        self._output_is_lost = True
        if error.errno != errno.EPIPE:
            self._say(f"can't write to the standard output: {error.strerror}")
        self._relay.drop()
        if self._signalled is None:
            self._end_children((0, signal.SIGTERM, ""), (_AFTER_SIGTERM_S, signal.SIGKILL, ""))

    def _reap(self, ready: set[int]) -> None:
        for child in list(self._running):
            code = child.process.poll() if child.pidfd < 0 or child.pidfd in ready else None
            if code is None:
                continue
            self._running.remove(child)
            _close_pidfd(child)
            if code != 0 and self._signalled is None:
                self._note_failure(child, code)

    def _note_failure(self, child: _Child, code: int) -> None:
        failure = f"{child.name} {describe_exit(code)}"
        self._failures.append(failure)
        if code != 1:  # then it has said itself what happened
            self._say(failure)
        if len(self._failures) == 1 and not self._plan:
            after = "another one failed"
            term_s, kill_s = _AFTER_FAILURE_S
            self._end_children((term_s, signal.SIGTERM, after), (kill_s, signal.SIGKILL, after))

    def _end_children(self, *steps: tuple[float, signal.Signals, str]) -> None:
        """Plan which signals the children get, how many seconds from now, instead of what was planned before."""
        now_s = time.monotonic()
        self._plan = [_Planned(now_s + in_s, number, after) for in_s, number, after in steps]
        self._follow_plan()

    def _follow_plan(self) -> None:
        """Send what is due."""
        while self._plan and self._plan[0].at_s <= time.monotonic():
            planned = self._plan.pop(0)
            for child in self._running:
                if planned.after:
                    self._say(f"{child.name} has not ended since {planned.after}: sending {planned.number.name}")
                child.process.send_signal(planned.number)

    def _say(self, text: str) -> None:
        self._relay.stderr.put(f"bytewax.run: {text}\n".encode())


def _filled_pipe(content: bytes) -> int:
    """Make a pipe that holds something; returns the end to read it from."""
    read_fd, write_fd = os.pipe()
    try:
        os.write(write_fd, content)  # holds 64 KiB at least: the addresses of thousands of processes
    finally:
        os.close(write_fd)
    return read_fd


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # an older kernel, or no descriptors left
        return -1


def _close_pidfd(child: _Child) -> None:
    if child.pidfd >= 0:
        os.close(child.pidfd)
