"""A TCP proxy between two processes of a cluster: it records what they say, and can hold it, slow it, alter it, or say more.

    with Proxy(target) as proxy:          # target: "host:port" of the process that listens
        start the dialling process with proxy.address in the target's place of its address list

A direction is a string: TO_TARGET from the dialling process to the one that listens, TO_DIALER back.
"""

import contextlib
import queue
import socket
import threading
import time

TO_TARGET, TO_DIALER = "to target", "to dialer"
CHUNK_BYTES = 1 << 16


class Connection:
    """One connection of the dialling process, and what went through it so far."""

    def __init__(self, proxy, dialer, target):
        self.proxy = proxy
        self.seen = {TO_TARGET: bytearray(), TO_DIALER: bytearray()}
        self.changed = threading.Condition()
        self.is_open = True
        self._ends = {TO_TARGET: (dialer, target), TO_DIALER: (target, dialer)}
        self._waiting = {direction: queue.SimpleQueue() for direction in self._ends}
        self._threads = [
            threading.Thread(target=work, args=(direction,), daemon=True)
            for direction in self._ends
            for work in (self._read, self._write)
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, direction):
        source, _ = self._ends[direction]
        while True:
            try:
                data = source.recv(CHUNK_BYTES)
            except OSError:
                data = b""
            with self.changed:
                self.seen[direction] += data
                self.changed.notify_all()
            self._waiting[direction].put((time.monotonic() + self.proxy.delay_s, data))
            if not data:
                return

    def _write(self, direction):
        _, sink = self._ends[direction]
        while True:
            due, data = self._waiting[direction].get()
            time.sleep(max(0, due - time.monotonic()))
            self.proxy.open_gate.wait()
            try:
                for part in self.proxy.alter(self, direction, data) if data else ():
                    sink.sendall(part)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
            except OSError:
                data = b""
            if not data:
                self._end()
                return

    def _end(self):
        with self.changed:
            self.is_open = False
            self.changed.notify_all()

    def inject(self, direction, data):
        """Say something in the name of one of the two, behind what it has said so far."""
        self._waiting[direction].put((0.0, bytes(data)))

    def wait_for(self, condition, timeout_s=30):
        """Wait until a function of this connection is true."""
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), timeout_s), "the proxy saw nothing of the kind"

    def cut(self):
        """Reset the connection on both sides."""
        for sock, _ in self._ends.values():
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RD)  # wakes whoever reads
            sock.close()
        self._end()


class Proxy:
    """Listens on a port of its own and carries each connection on to `target`.

    `delay_s`: how long each chunk waits, in each direction. `alter(connection, direction, chunk)`: the chunks to
    send in its place.
    """

    def __init__(self, target, *, delay_s=0.0, alter=None):
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self.delay_s = delay_s
        self.alter = alter or (lambda connection, direction, data: [data])
        self.connections = []
        self.open_gate = threading.Event()  # cleared: nothing goes through, and nobody is told
        self.open_gate.set()
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                dialer, _ = self._listener.accept()
            except OSError:
                return
            try:
                target = socket.create_connection(self._target)
            except OSError:
                dialer.close()  # what a process that isn't there yet looks like from here
                continue
            for sock in (dialer, target):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self.connections.append(Connection(self, dialer, target))
                self._changed.notify_all()

    def connection(self, number=0, timeout_s=30):
        """Wait for a connection, and return it."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.connections) > number, timeout_s), "nobody connected"
            return self.connections[number]

    def hold(self):
        """From now on let nothing through, without telling anybody: what a cut cable looks like."""
        self.open_gate.clear()

    def release(self):
        """Let through what was held."""
        self.open_gate.set()

    def close(self):
        """Stop listening, and reset what is connected."""
        # Wakes the thread in accept(), which close() alone would leave there.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.open_gate.set()
        for connection in self.connections:
            connection.cut()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
