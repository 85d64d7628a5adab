"""TLS between processes: nothing in clear, and nobody in without a certificate of the cluster's authority."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from facts import COUNTS, PATIENT, counts_are_right, ends_with_an_error, goes_on, is_running, port_of
from facts import RUNNING as RUNS
from proxy import TO_DIALER, TO_TARGET, Proxy
from test_strangers import MARKED, attack

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to make certificates")

SHORT = {**PATIENT, "BYTEWAX_CLUSTER_CONNECT_TIMEOUT": "3"}
# Who is dialled waits longer, so that the other one's last attempt met somebody.
LONGER = {"BYTEWAX_CLUSTER_CONNECT_TIMEOUT": "5"}
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class Authority:
    """Signs certificates."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        openssl(
            "req", "-x509", *KEY, "-subj", f"/CN={folder.name}", "-keyout", folder / "ca.key", "-out", folder / "ca.pem"
        )

    def env(self, name, ca=None):
        """The variables of a process that has a certificate of this authority."""
        path = self.folder / name
        openssl("req", *KEY, "-subj", f"/CN={name}", "-keyout", f"{path}.key", "-out", f"{path}.csr")
        signed_by = ["-CA", self.folder / "ca.pem", "-CAkey", self.folder / "ca.key", "-CAcreateserial"]
        openssl("x509", "-req", "-in", f"{path}.csr", *signed_by, "-out", f"{path}.pem")
        return {
            "BYTEWAX_CLUSTER_TLS_CERT": f"{path}.pem",
            "BYTEWAX_CLUSTER_TLS_KEY": f"{path}.key",
            "BYTEWAX_CLUSTER_TLS_CA": str((ca or self).folder / "ca.pem"),
        }


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls") / "theirs")


@pytest.mark.parametrize("secret", [None, "a secret"])
def test_under_tls_nothing_goes_in_clear(cluster, authority, secret):
    each = cluster(MARKED, secret=secret, start=False)
    with Proxy(each.addresses[0]) as proxy:
        each.start(0, env=authority.env("zero"))
        each.start(1, addresses=[proxy.address, each.addresses[1]], env=authority.env("one"))
        assert each.wait() == [0, 0], each
        seen = proxy.connection().seen
        assert len(each[0].stdout.lines + each[1].stdout.lines) == 100
    for direction in (TO_TARGET, TO_DIALER):
        assert len(seen[direction]) > 1000
        for text in (b"ITEM", b"key-", b"bytewax", b"relay"):
            assert text not in seen[direction]


def test_a_certificate_of_another_authority_gets_nobody_in(cluster, authority, stranger):
    each = cluster(COUNTS, secret=None, env=SHORT, start=False)
    each.start(0, env={**authority.env("zero"), **LONGER})
    each.start(1, env=stranger.env("one", ca=authority))
    for process in each:
        ends_with_an_error(process, "certificate")


def test_a_process_believes_no_certificate_of_another_authority(cluster, authority, stranger):
    each = cluster(COUNTS, secret=None, env=SHORT, start=False)
    each.start(0, env={**stranger.env("zero"), **LONGER})
    each.start(1, env=authority.env("one"))
    ends_with_an_error(each[0], "TLS")
    ends_with_an_error(each[1], "certificate")


@pytest.mark.parametrize("with_tls", [0, 1])
def test_with_tls_and_without_do_not_go_together(cluster, authority, with_tls):
    each = cluster(COUNTS, env=SHORT, start=False)
    for index in (0, 1):
        each.start(index, env=authority.env(str(index)) if index == with_tls else None)
    for index, process in each.processes.items():
        ends_with_an_error(process, f"process {1 - index}")


def test_with_tls_a_wrong_secret_still_gets_nobody_in(cluster, authority):
    each = cluster(COUNTS, env=SHORT, start=False)
    each.start(0, env={**authority.env("zero"), "BYTEWAX_CLUSTER_SECRET": "xyzzy"})
    each.start(1, env={**authority.env("one"), "BYTEWAX_CLUSTER_SECRET": "plugh"})
    for process in each:
        ends_with_an_error(process, "secret")


def test_strangers_do_no_harm_under_tls(cluster, authority):
    each = cluster(RUNS, start=False)
    for index in (0, 1):
        each.start(index, env=authority.env(str(index)))
    is_running(each)
    attack(port_of(each.addresses[0]), may_answer=True)  # TLS says by an alert that it does not like that
    goes_on(each)


def test_a_changed_bit_ends_the_run_under_tls(cluster, authority):
    armed, flipped = [], []

    def alter(connection, direction, data):
        if direction == TO_TARGET and armed and not flipped:
            flipped.append(True)
            data = data[:-1] + bytes([data[-1] ^ 1])
        return [data]

    each = cluster(RUNS, env={**PATIENT, "BYTEWAX_CLUSTER_TIMEOUT": "8"}, start=False)
    with Proxy(each.addresses[0], alter=alter) as proxy:
        each.start(0, env=authority.env("zero"))
        each.start(1, addresses=[proxy.address, each.addresses[1]], env=authority.env("one"))
        is_running(each)
        armed.append(True)
        ends_with_an_error(each[0], "process 1")
        ends_with_an_error(each[1], "process 0")


def test_a_cluster_with_tls_counts_right(cluster, authority):
    each = cluster(COUNTS, secret=None, processes=3, workers=2, start=False)
    for index in (2, 0, 1):
        each.start(index, env=authority.env(str(index)))
    counts_are_right(each, workers=2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"BYTEWAX_CLUSTER_TLS_CERT": "/no/such.pem"}, "/no/such.pem"),
        ({"BYTEWAX_CLUSTER_TLS_KEY": "ca"}, "key"),
        ({"BYTEWAX_CLUSTER_TLS_CA": "key"}, "CA"),
    ],
    ids=["missing", "another's key", "no certificate"],
)
def test_files_that_do_not_fit_are_named(cluster, authority, change, said):
    env = authority.env("zero")
    files = {"ca": str(authority.folder / "ca.key"), "key": env["BYTEWAX_CLUSTER_TLS_KEY"]}
    env.update({name: files.get(value, value) for name, value in change.items()})
    each = cluster(COUNTS, env=SHORT, start=False)
    process = each.start(0, env=env)
    assert process.wait() == 1
    assert "Error" in process.stderr.text
    assert said in process.stderr.text
