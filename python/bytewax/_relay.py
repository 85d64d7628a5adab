"""Passes the output of child processes on to that of this process: whole lines, none mixed with another.

    child's stdout --pipe--> Source: up to the last newline --> Sink: what there is room for --> our stdout

Only `Relay.wait` sleeps. A sink that has no room makes its sources wait, and so in the end the children.
"""

from __future__ import annotations

import os
import select
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import IO

__all__ = ["Relay", "Sink"]

_READ_BYTES = 65_536  # what a pipe holds; also how much of a line that has no end is kept
_PENDING_BYTES = 4 * _READ_BYTES


class Sink:
    """A descriptor that output goes to. It may be full, slow or closed, and never makes anybody wait.

    Args:
        fd: The descriptor; -1 for none, which drops what it gets.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.error: OSError | None = None  # what ended it
        self._pending = bytearray()
        self._drops = fd < 0
        self._is_patient = True
        # A file takes all. Of anything else that is ready to be written to we know only that it takes so much.
        is_file = fd >= 0 and stat.S_ISREG(os.fstat(fd).st_mode)
        self._write_bytes = _PENDING_BYTES if is_file else select.PIPE_BUF

    @property
    def has_pending(self) -> bool:
        """Whether there is output that it had no room for yet."""
        return bool(self._pending)

    @property
    def is_full(self) -> bool:
        """Whether more output must wait."""
        return self._is_patient and len(self._pending) >= _PENDING_BYTES

    def put(self, output: bytes | bytearray) -> None:
        """Take output, and write what there is room for."""
        if self._drops:
            return
        if len(self._pending) < _PENDING_BYTES or self._is_patient:
            self._pending += output
        self.flush()

    def flush(self) -> None:
        """Write what there is room for now."""
        try:
            while self._pending and self._is_ready():
                del self._pending[: os.write(self.fd, self._pending[: self._write_bytes])]
        except BlockingIOError:  # who shares it has made it so, and there was less room than it seemed
            pass
        except OSError as ex:
            self.error = ex
            self.drop()

    def hurry(self) -> None:
        """From now on let no output wait, but drop what there is no room for."""
        self._is_patient = False

    def drop(self) -> None:
        """From now on drop all output, what is pending too."""
        self._drops = True
        self._pending.clear()

    def _is_ready(self) -> bool:
        poller = select.poll()
        poller.register(self.fd, select.POLLOUT)
        return bool(poller.poll(0))


class _Source:
    """The reading end of a pipe that output comes from."""

    def __init__(self, pipe: IO[bytes], sink: Sink) -> None:
        self.fd = pipe.fileno()
        self.sink = sink
        self._pipe = pipe
        self._line = bytearray()  # its beginning
        os.set_blocking(self.fd, False)

    def pass_on(self) -> int | None:
        """Pass on the whole lines of what came in. Returns how much came: 0 at the end, None if nothing is there."""
        try:
            output = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return None
        self._line += output
        size = self._line.rfind(b"\n") + 1
        if not size and len(self._line) >= _READ_BYTES:
            size = _READ_BYTES
        if size:
            self.sink.put(self._line[:size])
            del self._line[:size]
        return len(output)

    def close(self) -> None:
        """Pass on the line that has no end, and close the pipe."""
        self.sink.put(self._line)
        self._line.clear()
        self._pipe.close()


class Relay:
    """All sources and sinks of this process."""

    def __init__(self) -> None:
        self.stdout = Sink(_fd_of(sys.stdout, 1))
        self.stderr = Sink(_fd_of(sys.stderr, 2))
        if self.stdout.fd >= 0 and self.stderr.fd >= 0 and os.path.samestat(os.fstat(1), os.fstat(2)):
            self.stderr = self.stdout  # a terminal, or 2>&1: then their lines must not mix either
        self._sources: dict[int, _Source] = {}

    def add(self, stdout: IO[bytes], stderr: IO[bytes]) -> None:
        """Take over the pipes that a child writes its output to; unbuffered ones."""
        for source in (_Source(stdout, self.stdout), _Source(stderr, self.stderr)):
            self._sources[source.fd] = source

    @property
    def has_pending(self) -> bool:
        """Whether there is output to write yet."""
        return self.stdout.has_pending or self.stderr.has_pending

    @property
    def has_sources(self) -> bool:
        """Whether there is anybody left to give output."""
        return bool(self._sources)

    def wait(self, others: Iterable[int], timeout_s: float | None) -> set[int]:
        """Sleep until one of `others` can be read, the time is over or output comes, which is passed on.

        Returns:
            Those of `others` that can be read.
        """
        poller = select.poll()
        for fd in others:
            poller.register(fd, select.POLLIN)
        for source in self._sources.values():
            if not source.sink.is_full:
                poller.register(source.fd, select.POLLIN)
        for sink in {self.stdout, self.stderr}:
            if sink.has_pending:
                poller.register(sink.fd, select.POLLOUT)
        ready = {fd for fd, _ in poller.poll(None if timeout_s is None else max(0.0, timeout_s * 1000))}
        for fd in ready:
            found = self._sources.get(fd)
            if found is not None and not found.sink.is_full and found.pass_on() == 0:
                self._close(found)
        self.stdout.flush()
        self.stderr.flush()
        return ready.intersection(others)

    def finish(self) -> None:
        """Pass on what the children left when they ended.

        A pipe is closed when it is empty: a process that a child has started, and left behind, may hold the other end.
        """
        for source in list(self._sources.values()):
            while not source.sink.is_full:
                if not source.pass_on():
                    self._close(source)
                    break

    def hurry(self) -> None:
        """From now on let no child wait, but drop what there is no room for."""
        self.stdout.hurry()
        self.stderr.hurry()

    def drop(self) -> None:
        """From now on drop all output: nobody waits for it any more."""
        self.stdout.drop()
        self.stderr.drop()

    def close(self) -> None:
        """Close all pipes."""
        for source in list(self._sources.values()):
            self._close(source)

    def _close(self, source: _Source) -> None:
        del self._sources[source.fd]
        source.close()


def _fd_of(stream: object, fd: int) -> int:
    """Return the descriptor of a standard stream, or -1 where the interpreter found it closed."""
    return -1 if stream is None else fd
