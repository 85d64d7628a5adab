"""A process of the cluster that breaks the protocol, played by the test: it ends the run, by an error that names it.

Without a secret a connection is opened by a HELLO that was recorded, and then says what the test likes.
"""

import contextlib
import random
import resource
import socket
import struct
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from facts import PATIENT, SOON_S, ends_with_an_error, port_of, wait_until
from proxy import TO_TARGET, Proxy
from wire import (
    ALL,
    ASSIGN,
    AUTH,
    BYE,
    CREDIT,
    DATA,
    DURABLE,
    ERROR,
    HELLO,
    MARK,
    MORE,
    PING,
    PROGRESS,
    READY,
    REFUSE,
    STOP,
    Reader,
    frame,
    record,
)

# Keys of both processes meet; those that reach process 0 are held up in the user's code until there is a file "go".
PROGRAM = """
def hold(item):
    if proc_id == 0 and os.environ.get("HOLD"):
        say("held")
        while not os.path.exists("go"):
            time.sleep(0.01)
    return item

flow = Dataflow()
flow.input("inp", EachWorker(lambda worker: forever(*((f"key-{i % 60}", i) for i in range(1000)))))
flow.stateful_map("relay", lambda: None, lambda state, item: (state, item))
flow.map(hold)
flow.map(lambda item: f"item {item[1]}")
flow.output("out", Say())
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory, request):
    """What process 1 says to process 0 in a cluster without a secret: (kind, payload) of each frame."""
    frames = []

    def record_it(cluster):
        if not frames:
            each = cluster(PROGRAM, secret=None, env=PATIENT, start=False)
            with Proxy(each.addresses[0]) as proxy:
                each.start(0)
                each.start(1, addresses=[proxy.address, each.addresses[1]])
                for process in each:
                    process.stdout.wait_for("item", times=400)  # of 2,000 between them
                stream = proxy.connection().seen[TO_TARGET]
            frames.extend(read for _, found in Reader(stream, has_tags=False).all() for read in found)
        return frames

    return record_it


class Impostor:
    """Plays process 1 to a process 0 that is alone."""

    def __init__(self, cluster, frames, env=None):
        self.frames = frames
        self.cluster = cluster(PROGRAM, secret=None, env={**PATIENT, **(env or {})}, start=False)
        self.process = self.cluster.start(0)
        self.connection = None

    def connect(self):
        port = port_of(self.cluster.addresses[0])

        def connect():
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=SOON_S)
            except OSError:
                return None

        self.connection = wait_until(connect, "process 0 listens")
        # What it says is of no interest, but must not fill the pipe.
        threading.Thread(target=self._drain, args=(self.connection.dup(),), daemon=True).start()
        self.say_again(HELLO, AUTH)

    def say_again(self, *kinds):
        """Say all that the recorded process said of some kinds."""
        for kind, payload in self.frames:
            if kind in kinds:
                self.say(record(frame(kind, payload)))

    @staticmethod
    def _drain(connection):
        with connection, contextlib.suppress(OSError):
            while connection.recv(1 << 16):
                pass

    def start_workers(self):
        """Go on as the recorded process did, up to its items."""
        self.say_again(ALL)
        self.say_again(ASSIGN, READY)

    def data(self):
        """A DATA frame of items, as recorded."""
        return next(payload for kind, payload in self.frames if kind == DATA)

    def say(self, data):
        with contextlib.suppress(OSError):  # it has hung up
            self.connection.sendall(data)

    def hang_up(self):
        with contextlib.suppress(OSError):  # it has hung up
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


NOISE = random.Random(5).randbytes(50_000)
MORE_FOLLOWS = 1  # a flag
U32, U64 = struct.Struct("<I").pack, struct.Struct("<Q").pack


def data_head(sender=1, receiver=0, exchange=0, epoch=0, size=20, count=1, half=0, shape=1):
    return struct.pack("<IIIQIHBB", sender, receiver, exchange, epoch, size, count, half, shape)


# What it says after the handshake.
BAD_RECORDS = {
    "of 4 GiB": record(size=0xFFFFFFFF) + bytes(1 << 20),
    "of more than 1 MiB": record(frame(PING), size=(1 << 20) + 1) + bytes(2 << 20),
    "of no bytes": record(),
    "with a frame of 4 GiB": record(frame(PING, size=0xFFFFFFFF)),
    "with a frame that is cut": record(frame(DATA, bytes(10), size=11)),
    "with half a head": record(frame(PING), b"\0\0\0"),
    "with an unknown kind": record(frame(99)),
    "with a kind of 0": record(frame(0)),
    "with noise": record(NOISE),
}
BAD_FRAMES = {
    "HELLO": frame(HELLO, bytes(100)),
    "AUTH": frame(AUTH, bytes(32)),
    "REFUSE": frame(REFUSE, b"no"),
    "PING with a payload": frame(PING, b"x"),
    "BYE with a payload": frame(BYE, b"x"),
    "ALL with a payload": frame(ALL, b"x"),
    "ALL twice": frame(ALL),
    "DURABLE": frame(DURABLE, bytes(8)),
    "STOP": frame(STOP),
    "READY, cut": frame(READY, b"\1"),
    "READY of no worker": frame(READY, U32(7) + b"\0"),
    "READY of a worker elsewhere": frame(READY, U32(0) + b"\0"),
    "ASSIGN, cut": frame(ASSIGN, b"\1\0"),
    "ASSIGN for no step": frame(ASSIGN, U32(99) + b"x"),
    "PROGRESS, cut": frame(PROGRESS, b"\1"),
    "PROGRESS of no worker": frame(PROGRESS, U32(7) + b"\0" + U64(1)),
}
# What it says when workers are running.
BAD_MESSAGES = {
    "DATA, cut": frame(DATA, data_head()[:-1]),
    "DATA of no worker": frame(DATA, data_head(sender=5) + bytes(20)),
    "DATA of a worker elsewhere": frame(DATA, data_head(sender=0) + bytes(20)),
    "DATA for no worker": frame(DATA, data_head(receiver=5) + bytes(20)),
    "DATA for a worker elsewhere": frame(DATA, data_head(receiver=1) + bytes(20)),
    "DATA for no exchange": frame(DATA, data_head(exchange=77) + bytes(20)),
    "DATA of no items": frame(DATA, data_head(size=0, count=0)),
    "DATA of too many items": frame(DATA, data_head(count=1025) + bytes(20)),
    "DATA of no half": frame(DATA, data_head(half=2) + bytes(20)),
    "DATA of no shape": frame(DATA, data_head(shape=9) + bytes(20)),
    "DATA of another shape": frame(DATA, data_head(shape=2) + bytes(20)),
    "DATA of noise": frame(DATA, data_head(size=len(NOISE), count=1000) + NOISE),
    "DATA of more than it says": frame(DATA, data_head(size=10, count=1) + NOISE),
    "DATA of less than it says": frame(DATA, data_head(size=100_000, count=1) + NOISE),
    "MORE of nothing": frame(MORE, U32(1) + b"x"),
    "MORE of no worker": frame(MORE, U32(9) + b"x"),
    "MARK, cut": frame(MARK, b"\0"),
    "MARK of no worker": frame(MARK, struct.pack("<IIIQQ", 9, 0, 0, 1, 1)),
    "CREDIT of no worker": frame(CREDIT, struct.pack("<IIIBQQ", 9, 0, 0, 0, 1, 1)),
    "CREDIT of more than the window": frame(CREDIT, struct.pack("<IIIBQQ", 1, 0, 0, 0, 1 << 40, 1)),
    "CREDIT of more bytes than the window": frame(CREDIT, struct.pack("<IIIBQQ", 1, 0, 0, 0, 1, 1 << 60)),
    "CREDIT of no half": frame(CREDIT, struct.pack("<IIIBQQ", 1, 0, 0, 2, 1, 1)),
}


def test_a_peer_that_breaks_the_protocol_ends_the_run_and_is_named(cluster, recording):
    frames = recording(cluster)
    check_all(cluster, frames, BAD_RECORDS, lambda impostor: None)


def test_a_peer_that_sends_wrong_frames_ends_the_run_and_is_named(cluster, recording):
    texts = {name: record(text) for name, text in BAD_FRAMES.items()}
    check_all(cluster, recording(cluster), texts, lambda impostor: impostor.say_again(ALL))


def test_a_peer_that_sends_wrong_messages_ends_the_run_and_is_named(cluster, recording):
    texts = {name: record(text) for name, text in BAD_MESSAGES.items()}
    check_all(cluster, recording(cluster), texts, start_workers)


def start_workers(impostor):
    impostor.start_workers()
    impostor.process.stdout.wait_for("item")  # its own


def check_all(cluster, frames, texts, prepare):
    wrong = []
    names = list(texts)
    for at in range(0, len(names), 8):  # so many at once
        impostors = {name: Impostor(cluster, frames) for name in names[at : at + 8]}
        for name, impostor in impostors.items():
            impostor.connect()
            prepare(impostor)
            impostor.say(texts[name])
        for name, impostor in impostors.items():
            try:
                ends_with_an_error(impostor.process, "process 1")
            except AssertionError as error:
                wrong.append(f"{name}: {error}")
            impostor.hang_up()
    assert not wrong, "\n".join(wrong)


def test_a_record_that_is_cut_off_ends_the_run(cluster, recording):
    frames = recording(cluster)
    impostors = {length: Impostor(cluster, frames) for length in (1, 4, 5, 11, 12, 30)}
    for length, impostor in impostors.items():
        impostor.connect()
        impostor.say(record(frame(ASSIGN, bytes(40)))[:length])
        impostor.hang_up()
    for impostor in impostors.values():
        ends_with_an_error(impostor.process, "process 1")


def test_a_peer_that_reports_a_failure_in_nonsense_ends_the_run(cluster, recording):
    impostor = Impostor(cluster, recording(cluster))
    impostor.connect()
    impostor.say(record(frame(ERROR, NOISE)))
    ends_with_an_error(impostor.process, "process 1")


def test_a_peer_that_promises_4_gib_takes_no_memory(cluster, recording):
    impostor = Impostor(cluster, recording(cluster))
    impostor.connect()
    start_workers(impostor)
    impostor.say(record(frame(DATA, data_head(size=0xFFFFFFFF, count=1000) + NOISE, flags=MORE_FOLLOWS)))
    impostor.say(record(frame(PROGRESS, b"")))  # what comes after it is read when that was
    ends_with_an_error(impostor.process, "process 1")
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert usage.ru_maxrss < 1_000_000  # kB, of any process so far


def test_a_peer_that_sends_beyond_its_window_ends_the_run(cluster, recording):
    impostor = Impostor(cluster, recording(cluster), env={"HOLD": "1"})
    impostor.connect()
    impostor.start_workers()
    impostor.process.stdout.wait_for("held")
    data = impostor.data()
    (count,) = struct.unpack_from("<H", data, 24)
    for _ in range(40_000 // count + 2):  # a window has 2 x 16,384, and each half must be empty for more
        impostor.say(record(frame(DATA, data)))
    (impostor.cluster.directory / "go").touch()
    ends_with_an_error(impostor.process, "process 1", "more than its window allows")
