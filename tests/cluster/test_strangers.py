"""Whoever else connects: scanners, those with a wrong secret or none, recordings played again. They get nothing and break nothing."""

import contextlib
import random
import socket
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from facts import (
    COUNTS,
    PATIENT,
    RUNNING,
    SOON_S,
    counts_are_right,
    descriptors,
    ends_with_an_error,
    goes_on,
    is_running,
    port_of,
    wait_until,
    wait_until_connected,
)
from proxy import TO_DIALER, TO_TARGET, Proxy
from wire import AUTH, HELLO, Reader, frame, record

CLIENT_HELLO = bytes.fromhex("16030100300100002c0303") + bytes(32) + bytes.fromhex("0000021301010000")
OF_ANOTHER_VERSION = "a HELLO of another version"  # is told so: the only one that is answered
TEXTS = {
    "nothing": b"",
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls": CLIENT_HELLO,
    "zeros": bytes(4096),
    "4 GiB": b"\xff" * 4 + b"x" * 1_000_000,
    "1 MiB and a frame of 4 GiB": record(frame(HELLO, size=0xFFFFFFFF), size=1 << 20) + b"x" * 1_000_000,
    "a record that ends early": record(frame(HELLO, b"bytewax\n"), size=200),
    "the magic and nothing else": record(frame(HELLO, b"bytewax\n")),
    OF_ANOTHER_VERSION: record(frame(HELLO, b"bytewax\n" + b"\xa5" * 200)),
    "another frame first": record(frame(AUTH, bytes(32))),
    "a ping": record(frame(4)),
    "data": record(frame(18, bytes(64))),
}


def knock(port, data, answer_bytes=1 << 16):
    """Connect, say that, and return what is answered until the connection ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=SOON_S) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while data := connection.recv(answer_bytes):
                answer += data
        except OSError:  # reset
            return b""
        return answer


def attack(port, *, may_answer=False):
    """What a port scanner, and worse, does."""
    for name, text in TEXTS.items():
        answer = knock(port, text)
        assert may_answer or answer == b"" or name == OF_ANOTHER_VERSION, f"an answer to {name}: {answer!r}"


def test_strangers_get_no_answer_and_a_connecting_process_still_connects(cluster):
    each = cluster(COUNTS, start=False)
    each.start(0)
    port = port_of(each.addresses[0])
    wait_until(lambda: is_listening(port), "process 0 listens")
    attack(port)  # OpenSSL and the like open what they need once
    before = descriptors(each[0])
    attack(port)
    wait_until(lambda: descriptors(each[0]) <= before, "the strangers' descriptors are closed")
    each.start(1)
    counts_are_right(each)


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_strangers_do_no_harm_to_a_running_cluster(cluster):
    each = cluster(RUNNING)
    is_running(each)
    for index in (0, 1):  # process 1 listens, too, though nobody dials it
        attack(port_of(each.addresses[index]))
    goes_on(each)


def test_10_000_random_strings_on_the_port_do_no_harm(cluster):
    each = cluster(RUNNING)
    is_running(each)
    port = port_of(each.addresses[0])
    before = descriptors(each[0])
    dice = random.Random(5)
    for number in range(10_000):
        # Half of them go a way into the protocol.
        noise = dice.randbytes(dice.choice([1, 3, 4, 12, 100, 3000]))
        match number % 4:
            case 0:
                noise = record(frame(HELLO, noise))
            case 1:
                noise = record(frame(HELLO, b"bytewax\n" + noise))
        connection = socket.create_connection(("127.0.0.1", port), timeout=SOON_S)
        with connection, contextlib.suppress(OSError):  # it may have hung up already
            connection.sendall(noise)
    wait_until(lambda: descriptors(each[0]) <= before, "the strangers' descriptors are closed")
    assert len(each[0].stderr.lines) < 50, each[0].stderr.text  # told, but not 10,000 times
    goes_on(each)


def test_those_who_connect_and_say_nothing_do_not_keep_others_out(cluster):
    each = cluster(COUNTS, start=False)
    each.start(0)
    port = port_of(each.addresses[0])
    wait_until(lambda: is_listening(port), "process 0 listens")
    idle = [socket.create_connection(("127.0.0.1", port), timeout=SOON_S) for _ in range(300)]
    before = descriptors(each[0])
    assert before < 200  # of unfinished ones there are few at once
    each.start(1)
    counts_are_right(each)
    for connection in idle:
        connection.close()


# --- secrets ------------------------------------------------------------------------------------------


SHORT = {**PATIENT, "BYTEWAX_CLUSTER_CONNECT_TIMEOUT": "3"}


@pytest.mark.parametrize(
    ("dialer", "acceptor"),
    [("xyzzy", "plugh"), ("", "plugh"), ("xyzzy", "")],
    ids=["wrong", "none at the dialer", "none at the acceptor"],
)
def test_without_the_right_secret_nobody_gets_in(cluster, dialer, acceptor):
    each = cluster(COUNTS, secret=None, env=SHORT, start=False)
    each.start(0, env={"BYTEWAX_CLUSTER_SECRET": acceptor} if acceptor else None)
    each.start(1, env={"BYTEWAX_CLUSTER_SECRET": dialer} if dialer else None)
    differs = "the secrets of the cluster differ" if dialer and acceptor else "the security differs"
    for process in each:
        ends_with_an_error(process, differs, "secret")
        assert process.stdout.text == ""
        for shown in ("xyzzy", "plugh"):
            assert shown not in process.stderr.text


def test_a_wrong_secret_does_no_harm_to_a_running_cluster(cluster):
    each = cluster(RUNNING)
    is_running(each)
    stranger = cluster(RUNNING, secret="another", env=SHORT, addresses=each.addresses, start=False)
    stranger.start(1, addresses=[each.addresses[0], "127.0.0.1:0"])
    ends_with_an_error(stranger[1], "secret")
    goes_on(each)


def record_a_run(cluster, program, **options):
    """Run a program through a proxy; return the cluster, and what either side said."""
    each = cluster(program, start=False, **options)
    with Proxy(each.addresses[0]) as proxy:
        each.start(0)
        each.start(1, addresses=[proxy.address, each.addresses[1]])
        assert each.wait() == [0, 0], each
        seen = proxy.connection().seen
    return each, seen


def test_a_replayed_handshake_gets_nobody_in(cluster):
    _, seen = record_a_run(cluster, COUNTS)
    each = cluster(COUNTS, start=False)
    each.start(0)
    port = port_of(each.addresses[0])
    wait_until(lambda: is_listening(port), "process 0 listens")
    answer = knock(port, seen[TO_TARGET])
    assert len(answer) < 1000  # a HELLO and no more
    each.start(1)
    counts_are_right(each)


def test_a_process_that_is_answered_by_a_recording_fails(cluster):
    """Whoever listens in place of process 0 must know the secret, too."""
    _, seen = record_a_run(cluster, COUNTS)
    with socket.create_server(("127.0.0.1", 0)) as impostor:
        address = f"127.0.0.1:{impostor.getsockname()[1]}"
        each = cluster(COUNTS, env=SHORT, start=False)
        each.start(1, addresses=[address, each.addresses[1]])
        impostor.settimeout(SOON_S)
        connection, _ = impostor.accept()
        with connection:
            connection.sendall(seen[TO_DIALER])
            ends_with_an_error(each[1], "process 0", "the secrets of the cluster differ")


# --- who stands between -------------------------------------------------------------------------------


def whole_record(connection, direction):
    """The bytes of the last whole record that went by, with its tag."""
    return Reader(connection.seen[direction], has_tags=True).all()[-1][0]


@pytest.mark.parametrize("direction", [TO_TARGET, TO_DIALER])
def test_a_recorded_frame_played_again_ends_the_run(cluster, direction):
    each = cluster(RUNNING, env=PATIENT, start=False)
    with Proxy(each.addresses[0]) as proxy:
        each.start(0)
        each.start(1, addresses=[proxy.address, each.addresses[1]])
        is_running(each)
        connection = proxy.connection()
        connection.inject(direction, whole_record(connection, direction))
        deceived = 0 if direction == TO_TARGET else 1
        ends_with_an_error(each[deceived], f"process {1 - deceived}", "a record whose tag is wrong")
        ends_with_an_error(each[1 - deceived], "process")


def test_a_changed_bit_ends_the_run(cluster):
    flipped = []

    def alter(connection, direction, data):
        if direction == TO_TARGET and armed and not flipped:
            flipped.append(True)
            data = data[:-1] + bytes([data[-1] ^ 1])
        return [data]

    armed = []
    each = cluster(RUNNING, env=PATIENT, start=False)
    with Proxy(each.addresses[0], alter=alter) as proxy:
        each.start(0)
        each.start(1, addresses=[proxy.address, each.addresses[1]])
        is_running(each)
        armed.append(True)
        ends_with_an_error(each[0], "process 1", "a record whose tag is wrong", timeout=30)
        ends_with_an_error(each[1], "process")


MARKED = """
flow = Dataflow()
flow.input("inp", EachWorker(lambda worker: [(f"key-{i}", f"ITEM {worker} {i}") for i in range(50)]))
flow.stateful_map("relay", lambda: None, lambda state, item: (state, item))
flow.output("out", Say())
"""


def test_no_item_goes_out_before_the_handshake_is_complete(cluster):
    _, seen = record_a_run(cluster, MARKED)
    for direction in (TO_TARGET, TO_DIALER):
        assert b"ITEM" in seen[direction]  # without TLS it is in clear, so that this test can see it
        records = Reader(seen[direction], has_tags=True).all()
        kinds = [kind for _, frames in records for kind, _ in frames]
        assert kinds[:2] == [HELLO, AUTH]
        assert not {HELLO, AUTH} & set(kinds[2:])
        assert b"ITEM" not in records[0][0] + records[1][0]


@pytest.mark.parametrize("held", [TO_TARGET, TO_DIALER])
def test_no_item_goes_out_while_the_handshake_is_not_complete(cluster, held):
    """One side's proof is held back: the other one may say what it likes, but never an item."""

    def alter(connection, direction, data):
        if direction == held:
            first = Reader(connection.seen[direction], has_tags=True).next()
            room = max(0, len(first[0]) - sent[0]) if first else len(data)  # the HELLO passes, no more
            data = data[:room]
            sent[0] += len(data)
        return [data]

    sent = [0]
    each = cluster(MARKED, env=SHORT, start=False)
    with Proxy(each.addresses[0], alter=alter) as proxy:
        each.start(0)
        each.start(1, addresses=[proxy.address, each.addresses[1]])
        ends_with_an_error(each[0], "process 1")
        ends_with_an_error(each[1], "process")
        assert sent[0] > 0
        for connection in proxy.connections:
            assert b"ITEM" not in connection.seen[TO_TARGET] + connection.seen[TO_DIALER]


# --- peers that are not what they should be -----------------------------------------------------------


def test_a_second_process_of_the_same_number_is_refused(cluster):
    each = cluster(RUNNING, env=PATIENT)
    is_running(each)
    twin = cluster(RUNNING, env=SHORT, addresses=each.addresses, start=False)
    twin.start(1, addresses=[each.addresses[0], "127.0.0.1:0"])
    ends_with_an_error(twin[1], "process 1")
    goes_on(each)


def test_a_second_process_of_the_same_number_is_refused_while_connecting(cluster):
    each = cluster(COUNTS, processes=3, env=PATIENT, start=False)
    each.start(0)
    each.start(1)
    wait_until_connected(each, 0)
    twin = cluster(COUNTS, processes=3, env=SHORT, addresses=each.addresses, start=False)
    twin.start(1, addresses=[each.addresses[0], "127.0.0.1:0", each.addresses[2]])
    ends_with_an_error(twin[1], "process 1")
    each.start(2)
    counts_are_right(each)


OTHER_STEP = COUNTS.replace('"count"', '"sum"')
OTHER_FLOW = COUNTS.replace("flow.output", "flow.map(lambda item: item)\nflow.output")
OTHER_BODY = COUNTS.replace("lambda a, b: a + b", "lambda a, b: b + a")


@pytest.mark.parametrize("program", [OTHER_STEP, OTHER_FLOW], ids=["a step's name", "a step more"])
def test_processes_with_other_steps_refuse_each_other(cluster, program):
    each = cluster(COUNTS, env=SHORT, start=False)
    each.start(0)
    each.start(1, program=program)
    for process in each:
        ends_with_an_error(process, "dataflow")


def test_the_bodies_of_functions_may_differ(cluster):
    each = cluster(COUNTS, start=False)
    each.start(0)
    each.start(1, program=OTHER_BODY)
    counts_are_right(each)


def test_processes_with_other_numbers_of_workers_refuse_each_other(cluster):
    each = cluster(COUNTS, env=SHORT, start=False)
    each.start(0, workers=2)
    each.start(1, workers=3)
    for process in each:
        ends_with_an_error(process, "worker", "2", "3")


def test_processes_with_address_lists_of_other_lengths_refuse_each_other(cluster):
    each = cluster(COUNTS, env=SHORT, start=False)
    each.start(0)
    each.start(1, addresses=[*each.addresses, "127.0.0.1:1"])
    ends_with_an_error(each[0], "2", "3")
    ends_with_an_error(each[1], "2", "3")


def test_processes_with_address_lists_in_another_order_refuse_each_other(cluster):
    each = cluster(COUNTS, processes=3, env=SHORT, start=False)
    each.start(0)
    each.start(1)
    first, second, third = each.addresses
    each.start(2, addresses=[second, first, third])
    for process in each:
        ends_with_an_error(process, "process")
