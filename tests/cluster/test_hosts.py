"""Clusters on several hosts: network namespaces, so that cables can be cut. They need root and `ip`."""

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import hosts
from facts import COUNTS, HASTY, PATIENT, RUNNING, counts_are_right, ends_with_an_error, goes_on, is_running

ROOT = Path(__file__).resolve().parent.parent.parent
PORT = 2101


@pytest.fixture(scope="module")
def four_hosts():
    if reason := hosts.why_not():
        pytest.skip(reason)
    with hosts.Hosts(4) as four:
        yield four


@pytest.fixture
def on_hosts(cluster, four_hosts):
    """Return a function that makes a cluster with one process on each of some hosts; nothing is started yet."""

    def on_hosts(program, count, **options):
        addresses = [f"{address}:{PORT}" for address in four_hosts.addresses[:count]]
        each = cluster(program, addresses=addresses, start=False, **options)
        each.on = lambda index, **more: each.start(index, wrap=four_hosts.command(index, []), **more)
        return each

    return on_hosts


def test_processes_on_four_hosts_may_be_started_in_any_order(on_hosts):
    for order in [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)]:
        each = on_hosts(COUNTS, 4)
        for index in order:
            each.on(index)
        counts_are_right(each)


def test_the_example_counts_on_four_hosts_what_it_counts_on_one_worker(on_hosts, four_hosts, tmp_path):
    expected = subprocess.run(
        [sys.executable, "-m", "bytewax.run", "examples/wordcount.py"], cwd=ROOT, capture_output=True, text=True
    )
    assert expected.returncode == 0, expected.stderr
    secret = tmp_path / "secret"
    secret.write_text("a secret in a file\n")
    secret.chmod(0o600)
    env = {**os.environ, "BYTEWAX_CLUSTER_SECRET_FILE": str(secret)}
    addresses = ";".join(f"{address}:{PORT}" for address in four_hosts.addresses)
    for order in itertools.islice(itertools.permutations(range(4)), 1, 24, 11):
        processes = [
            subprocess.Popen(
                four_hosts.command(
                    index,
                    [sys.executable, "-m", "bytewax.run", "examples/wordcount.py", "-i", str(index), "-a", addresses],
                ),
                cwd=ROOT,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for index in order
        ]
        ended = [process.communicate(timeout=60) for process in processes]
        assert [process.returncode for process in processes] == [0] * 4, ended
        assert "".join(stdout for stdout, _ in ended) == expected.stdout


def test_hosts_without_a_secret_are_refused_unless_told_so(on_hosts):
    refused = on_hosts(COUNTS, 2, secret=None)
    for index in (0, 1):
        refused.on(index)
    for process in refused:
        assert process.wait() == 1
        assert "BYTEWAX_CLUSTER_SECRET" in process.stderr.text, process
        assert "BYTEWAX_CLUSTER_INSECURE" in process.stderr.text, process
    insecure = on_hosts(COUNTS, 2, secret=None, env={"BYTEWAX_CLUSTER_INSECURE": "1"})
    for index in (0, 1):
        insecure.on(index)
    counts_are_right(insecure)
    for process in insecure:
        assert "BYTEWAX_CLUSTER_INSECURE" in process.stderr.text, process


def test_a_cut_cable_is_noticed_by_both_sides_in_time(on_hosts, four_hosts):
    each = on_hosts(RUNNING, 3, env=HASTY)
    for index in range(3):
        each.on(index)
    is_running(each)
    four_hosts.unplug(2)
    try:
        for index, process in each.processes.items():
            ends_with_an_error(process, "process 2" if index != 2 else "process")
    finally:
        four_hosts.plug(2)


def test_a_cable_that_is_cut_one_way_is_noticed_by_both_sides_in_time(on_hosts, four_hosts):
    each = on_hosts(RUNNING, 2, env=HASTY)
    for index in range(2):
        each.on(index)
    is_running(each)
    four_hosts.deafen(0, 1)
    try:
        ends_with_an_error(each[1], "process 0")
        ends_with_an_error(each[0], "process 1")
    finally:
        four_hosts.hear(0, 1)


def test_a_cable_that_is_plugged_in_again_in_time_does_no_harm(on_hosts, four_hosts):
    each = on_hosts(RUNNING, 2, env={"BYTEWAX_CLUSTER_TIMEOUT": "6"})
    for index in range(2):
        each.on(index)
    is_running(each)
    four_hosts.unplug(1)
    time.sleep(1)
    four_hosts.plug(1)
    time.sleep(5.5)  # past the time-out, as seen from the cut
    goes_on(each)


def test_a_host_that_is_cut_off_is_waited_for(on_hosts, four_hosts):
    """Until it is there, or the time is over."""
    four_hosts.unplug(1)
    try:
        each = on_hosts(COUNTS, 2, env=PATIENT)
        for index in range(2):
            each.on(index)
        late = on_hosts(COUNTS, 2, env={**HASTY, "BYTEWAX_CLUSTER_CONNECT_TIMEOUT": "2"})
        late.addresses = [address.replace(str(PORT), "2102") for address in late.addresses]
        for index in range(2):
            late.on(index)
        ends_with_an_error(late[0], "process 1")
        ends_with_an_error(late[1], "process 0")
    finally:
        four_hosts.plug(1)
    counts_are_right(each)
