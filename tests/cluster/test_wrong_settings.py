"""Settings by which a cluster can't start: each process says what is wrong, and in time."""

import socket
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from facts import COUNTS, PATIENT, ends_with_an_error, port_of

SHORT = {**PATIENT, "BYTEWAX_CLUSTER_CONNECT_TIMEOUT": "2"}


def test_a_port_in_use_is_an_error_at_once(cluster):
    each = cluster(COUNTS, env=SHORT, start=False)
    with socket.create_server(("127.0.0.1", port_of(each.addresses[0]))):
        each.start(0, env={"BYTEWAX_CLUSTER_CONNECT_TIMEOUT": "60"})
        each.start(1)
        ends_with_an_error(each[0], "error building timely communication pipeline", "Address already in use")
        ends_with_an_error(each[1], "process 0", each.addresses[0])


@pytest.mark.parametrize("index", [0, 1])
def test_a_host_that_is_not_known_is_an_error(cluster, index):
    """Of this process at once; of another one when the time is over, as names may be known later."""
    each = cluster(COUNTS, env=SHORT, start=False)
    unknown = "no-such-host.invalid:2101"
    addresses = [unknown if i == index else address for i, address in enumerate(each.addresses)]
    for i in range(2):
        each.start(i, addresses=addresses)
    ends_with_an_error(each[index], "failed to lookup address information", "no-such-host.invalid")
    other = each[1 - index]
    ends_with_an_error(other, f"process {index}")
    assert index == 1 or "no-such-host.invalid" in other.stderr.text  # 1 is not dialled: it dials


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:", ":2101", "127.0.0.1:70000", "127.0.0.1:http"])
def test_an_address_that_is_none_is_an_error(cluster, address):
    each = cluster(COUNTS, env=SHORT, start=False)
    each.start(0, addresses=[address, each.addresses[1]])
    assert each[0].wait() == 1
    assert "invalid socket address" in each[0].stderr.text
    assert address in each[0].stderr.text


def test_a_process_that_does_not_come_is_named_when_the_time_is_over(cluster):
    each = cluster(COUNTS, processes=3, env=SHORT, start=False)
    each.start(0)
    each.start(2)
    ends_with_an_error(each[0], "process 1", each.addresses[1])
    ends_with_an_error(each[2], "process 1", each.addresses[1])


@pytest.mark.slow
def test_who_is_missing_is_told_every_5_seconds(cluster):
    each = cluster(COUNTS, env={**PATIENT, "BYTEWAX_CLUSTER_CONNECT_TIMEOUT": "0"}, start=False)
    each.start(1)
    line = each[1].stderr.wait_for("process 0", times=2)
    assert each.addresses[0] in line
    assert "refused" in line.lower()
    each.start(0)
    assert each.wait() == [0, 0], each
