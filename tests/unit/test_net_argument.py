"""What `_engine.run` accepts as `net`, and what becomes of the socket in it."""

import os
import socket

import pytest

from bytewax import _engine
from bytewax._plan import plan_of
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput

GOOD = {
    "process_id": 0,
    "addresses": ["localhost:1", "localhost:2"],
    "listen_fd": -1,
    "secret": b"",
    "tls": None,
    "connect_timeout": 1.0,
    "timeout": 1.0,
}


@pytest.fixture
def plan():
    flow = Dataflow()
    flow.input("inp", TestingInput([1]))
    flow.output("out", TestingOutput([]))
    return plan_of(flow)


def run(plan, net, worker_count=1, threads=True):
    _engine.run(plan, worker_count=worker_count, epoch_interval_us=0, threads=threads, net=net)


@pytest.mark.parametrize("name", GOOD)
def test_nothing_may_be_missing(plan, name):
    with pytest.raises(KeyError, match=name):
        run(plan, {key: value for key, value in GOOD.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("process_id", 2, ValueError),
        ("process_id", -1, ValueError),
        ("process_id", "0", TypeError),
        ("process_id", 1 << 80, OverflowError),
        ("addresses", [], ValueError),
        ("addresses", [b"localhost:1"], TypeError),
        ("addresses", ["local\0host:1"], ValueError),
        ("addresses", ["\udc80:1"], UnicodeEncodeError),
        ("addresses", 1, TypeError),
        ("listen_fd", -2, ValueError),
        ("listen_fd", 1 << 31, ValueError),
        ("secret", "text", TypeError),
        ("tls", ("cert", "key"), TypeError),
        ("tls", ("cert", "key", None), TypeError),
        ("tls", ("cert", "key", "c\0a"), ValueError),
        ("connect_timeout", -1.0, ValueError),
        ("connect_timeout", float("nan"), ValueError),
        ("connect_timeout", float("inf"), ValueError),
        ("timeout", 0, ValueError),
        ("timeout", "1", TypeError),
    ],
)
def test_a_wrong_value_is_named(plan, name, value, error):
    with pytest.raises(error) as caught:
        run(plan, {**GOOD, name: value})
    if error in (ValueError, KeyError):
        assert name in str(caught.value)


def test_a_secret_is_not_shown(plan):
    with pytest.raises(TypeError) as caught:
        run(plan, {**GOOD, "secret": "do not show"})
    assert "do not show" not in str(caught.value)


def test_what_is_no_dict_is_refused(plan):
    with pytest.raises(TypeError, match="net must be None or a dict"):
        run(plan, [])


def test_too_many_workers_are_refused(plan):
    with pytest.raises(ValueError, match="at most 65536 workers"):
        run(plan, GOOD, worker_count=40_000)


def test_it_needs_threads(plan):
    with pytest.raises(ValueError, match="net must be None without threads"):
        run(plan, GOOD, threads=False)


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"addresses": []}, {"process_id": 7}])
def test_the_socket_is_closed_where_the_rest_is_wrong(plan, wrong):
    with socket.socket() as mine:
        fd = os.dup(mine.fileno())
        with pytest.raises(ValueError):
            run(plan, {**GOOD, "listen_fd": fd, **wrong})
        with pytest.raises(OSError):
            os.fstat(fd)
