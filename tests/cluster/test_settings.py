"""What a process takes from arguments and environment to find the others of its cluster, and what it refuses."""

import os

import pytest

from bytewax._cluster import local_net, net_of
from bytewax.dataflow import Dataflow
from bytewax.execution import cluster_main
from bytewax.testing import TestingInput, TestingOutput

LOOPBACK = ["127.0.0.1:2101", "localhost:2102", "[::1]:2103"]
REACHABLE = ["127.0.0.1:2101", "192.0.2.7:2101"]
TLS = {
    "BYTEWAX_CLUSTER_TLS_CERT": "cert.pem",
    "BYTEWAX_CLUSTER_TLS_KEY": "key.pem",
    "BYTEWAX_CLUSTER_TLS_CA": "ca.pem",
}
SECRET = {"BYTEWAX_CLUSTER_SECRET": "s3cret"}


@pytest.fixture
def secret_file(tmp_path):
    """Return a function that writes a file which only its owner can read, and returns its variable."""

    def secret_file(content, mode=0o600):
        path = tmp_path / "secret"
        path.write_bytes(content)
        path.chmod(mode)
        return {"BYTEWAX_CLUSTER_SECRET_FILE": str(path)}

    return secret_file


def test_what_is_not_given_has_a_default():
    assert net_of(LOOPBACK, 1, {}) == {
        "process_id": 1,
        "addresses": LOOPBACK,
        "listen_fd": -1,
        "secret": b"",
        "tls": None,
        "connect_timeout": 300,
        "timeout": 10,
    }


def test_a_local_cluster_has_its_own_secret_and_the_times_of_the_environment():
    env = {**SECRET, **TLS, "BYTEWAX_CLUSTER_TIMEOUT": "2", "BYTEWAX_CLUSTER_CONNECT_TIMEOUT": "3"}
    assert local_net(LOOPBACK, 2, b"fresh", 7, env) == {
        "process_id": 2,
        "addresses": LOOPBACK,
        "listen_fd": 7,
        "secret": b"fresh",
        "tls": None,
        "connect_timeout": 3,
        "timeout": 2,
    }


# --- times --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("2", 2), ("0.25", 0.25), ("1e3", 1000), (" 7 ", 7)], ids=str)
def test_a_time_is_in_seconds(text, seconds):
    net = net_of(LOOPBACK, 0, {"BYTEWAX_CLUSTER_CONNECT_TIMEOUT": text})
    assert (net["connect_timeout"], net["timeout"]) == (seconds, 10)
    if seconds:
        net = net_of(LOOPBACK, 0, {"BYTEWAX_CLUSTER_TIMEOUT": text})
        assert (net["connect_timeout"], net["timeout"]) == (300, seconds)


@pytest.mark.parametrize("name", ["BYTEWAX_CLUSTER_TIMEOUT", "BYTEWAX_CLUSTER_CONNECT_TIMEOUT"])
@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1e300", "1 s", ""])
def test_what_is_no_time_is_refused_by_name(name, text):
    with pytest.raises(ValueError, match=name):
        net_of(LOOPBACK, 0, {name: text})


def test_silence_can_not_be_forbidden_altogether():
    with pytest.raises(ValueError, match="BYTEWAX_CLUSTER_TIMEOUT: must be more than 0"):
        net_of(LOOPBACK, 0, {"BYTEWAX_CLUSTER_TIMEOUT": "0"})


# --- addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["", ":", "host", "host:", ":2101", "[]:2101", "host:port", "host:65536", "host:-1", "host:1.5", "host:\u0663"],
)
@pytest.mark.parametrize("process_id", [0, 1])
def test_an_address_is_a_host_and_a_port_whosever_it_is(address, process_id):
    with pytest.raises(RuntimeError, match="process 1: invalid socket address: expected 'host:port'") as caught:
        net_of(["127.0.0.1:2101", address], process_id, SECRET)
    assert repr(address) in str(caught.value)


@pytest.mark.parametrize("address", ["192.0.2.7:2101", "0.0.0.0:2101", "[2001:db8::1]:2101", "[::]:2101"])
def test_an_address_that_others_can_reach_needs_a_secret(address):
    with pytest.raises(RuntimeError, match="the cluster has no secret") as caught:
        net_of(["127.0.0.1:2101", address], 0, {})
    message = str(caught.value)
    assert f"process 1, {address!r}, can be reached" in message
    for way_out in ("BYTEWAX_CLUSTER_SECRET", "BYTEWAX_CLUSTER_SECRET_FILE", *TLS, "BYTEWAX_CLUSTER_INSECURE=1"):
        assert way_out in message


@pytest.mark.parametrize("env", [SECRET, TLS, {**SECRET, **TLS}], ids=["secret", "TLS", "both"])
def test_with_protection_addresses_are_not_even_looked_up(env, capfd):
    assert net_of(["host.invalid:2101", *REACHABLE], 0, env)["addresses"] == ["host.invalid:2101", *REACHABLE]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("host", ["host.invalid", "..", "a" * 300], ids=["unknown", "dots", "long"])
def test_without_protection_a_name_must_be_known(host):
    with pytest.raises(RuntimeError, match="failed to lookup address information") as caught:
        net_of(["127.0.0.1:2101", f"{host}:2101"], 0, {})
    assert f"'{host}:2101'" in str(caught.value)


def test_one_process_lets_nobody_in():
    assert net_of(["0.0.0.0:2101"], 0, {})["secret"] == b""


def test_insecure_lets_it_through_with_a_warning(capfd):
    assert net_of(REACHABLE, 0, {"BYTEWAX_CLUSTER_INSECURE": "1"})["addresses"] == REACHABLE
    assert "warning: BYTEWAX_CLUSTER_INSECURE=1: the cluster has neither a secret nor TLS" in capfd.readouterr().err


@pytest.mark.parametrize("text", ["0", ""])
def test_insecure_may_be_said_not_to_be(text):
    with pytest.raises(RuntimeError, match="the cluster has no secret"):
        net_of(REACHABLE, 0, {"BYTEWAX_CLUSTER_INSECURE": text})


def test_insecure_is_said_by_1_alone():
    with pytest.raises(ValueError, match="BYTEWAX_CLUSTER_INSECURE: expected 1 or 0; got 'yes'"):
        net_of(REACHABLE, 0, {"BYTEWAX_CLUSTER_INSECURE": "yes"})


# --- secret -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "secret"), [("s3cret", b"s3cret"), ("s3cret\n", b"s3cret"), (" two words ", b" two words ")]
)
def test_a_secret_comes_from_the_environment(text, secret):
    assert net_of(REACHABLE, 0, {"BYTEWAX_CLUSTER_SECRET": text})["secret"] == secret


def test_a_secret_need_not_be_text():
    assert net_of(REACHABLE, 0, {"BYTEWAX_CLUSTER_SECRET": os.fsdecode(b"\xff\xfe")})["secret"] == b"\xff\xfe"


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"s3cret", b"s3cret"),
        (b"s3cret\n", b"s3cret"),
        (b"s3cret\r\n", b"s3cret"),
        (b"s3cret\n\n", b"s3cret\n"),
        (b"\x00\xff\n\x00", b"\x00\xff\n\x00"),
        (b"s" * 65_536, b"s" * 65_536),
    ],
    ids=["plain", "newline", "CR LF", "two newlines", "bytes", "long"],
)
def test_a_secret_comes_from_a_file(secret_file, content, secret, capfd):
    assert net_of(REACHABLE, 0, secret_file(content))["secret"] == secret
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"], ids=repr)
def test_a_file_without_a_secret_is_refused(secret_file, content):
    with pytest.raises(ValueError, match="BYTEWAX_CLUSTER_SECRET_FILE: the secret is empty"):
        net_of(REACHABLE, 0, secret_file(content))


def test_a_file_that_is_too_long_is_no_secret(secret_file):
    with pytest.raises(ValueError, match="at most 65536 bytes"):
        net_of(REACHABLE, 0, secret_file(b"s" * 65_537))
    with pytest.raises(ValueError, match="'/dev/zero' is longer"):
        net_of(REACHABLE, 0, {"BYTEWAX_CLUSTER_SECRET_FILE": "/dev/zero"})


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match="can't read '/no/such/file': No such file"):
        net_of(REACHABLE, 0, {"BYTEWAX_CLUSTER_SECRET_FILE": "/no/such/file"})
    with pytest.raises(ValueError, match=f"can't read '{tmp_path}': Is a directory"):
        net_of(REACHABLE, 0, {"BYTEWAX_CLUSTER_SECRET_FILE": str(tmp_path)})


@pytest.mark.parametrize(("mode", "is_open"), [(0o644, True), (0o604, True), (0o640, False), (0o400, False)], ids=oct)
def test_a_file_that_all_can_read_is_warned_of(secret_file, capfd, mode, is_open):
    assert net_of(LOOPBACK, 0, secret_file(b"s3cret", mode))["secret"] == b"s3cret"
    assert ("every user of this machine can read" in capfd.readouterr().err) == is_open


def test_a_secret_is_given_in_one_way(secret_file):
    with pytest.raises(ValueError, match="BYTEWAX_CLUSTER_SECRET and BYTEWAX_CLUSTER_SECRET_FILE: only one"):
        net_of(LOOPBACK, 0, {**secret_file(b"s3cret"), **SECRET})


@pytest.mark.parametrize("name", ["BYTEWAX_CLUSTER_SECRET", "BYTEWAX_CLUSTER_SECRET_FILE", *TLS])
def test_protection_that_is_empty_is_no_protection(name):
    with pytest.raises(ValueError, match=f"{name}: is set, but empty"):
        net_of(LOOPBACK, 0, {**TLS, name: ""})


# --- TLS ----------------------------------------------------------------------------------------------


def test_tls_is_three_files():
    net = net_of(REACHABLE, 0, {**TLS, **SECRET})
    assert (net["tls"], net["secret"]) == (("cert.pem", "key.pem", "ca.pem"), b"s3cret")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_tls_with_a_file_missing_is_refused(count, first):
    names = [list(TLS)[(first + offset) % 3] for offset in range(count)]
    with pytest.raises(ValueError, match="TLS needs") as caught:
        net_of(REACHABLE, 0, {**SECRET, **{name: TLS[name] for name in names}})
    for name in TLS:
        assert (name in str(caught.value).rpartition("missing")[2]) == (name not in names)


# --- where they are used ------------------------------------------------------------------------------


def test_cluster_main_reads_the_environment(monkeypatch):
    flow = Dataflow()
    flow.input("inp", TestingInput([1]))
    flow.output("out", TestingOutput([]))
    with pytest.raises(RuntimeError, match="the cluster has no secret"):
        cluster_main(flow, REACHABLE, 0)
    monkeypatch.setenv("BYTEWAX_CLUSTER_TIMEOUT", "soon")
    with pytest.raises(ValueError, match="BYTEWAX_CLUSTER_TIMEOUT"):
        cluster_main(flow, LOOPBACK, 0)
    cluster_main(flow, [], 0)  # needs none of it
