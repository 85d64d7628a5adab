"""Arguments of cluster_main from the command line and the environment."""

import pytest

from bytewax.parse import LOG_LEVELS, cluster_args, proc_args, proc_env


def test_log_levels_are_those_that_there_are():
    assert set(LOG_LEVELS) == {"ERROR", "WARN", "INFO", "DEBUG", "TRACE"}


@pytest.mark.parametrize(
    ("words", "parsed"),
    [
        ([], {"proc_count": 1, "worker_count_per_proc": 1}),
        (["-n", "2"], {"proc_count": 2, "worker_count_per_proc": 1}),
        (["-w3", "-n2"], {"proc_count": 2, "worker_count_per_proc": 3}),
    ],
    ids=str,
)
def test_cluster_args(words, parsed):
    assert cluster_args(words) == parsed


def test_proc_args():
    words = ["-w", "2", "-p", "1", "-a", "localhost:1234", "-a", "localhost:5678"]
    assert proc_args(words) == {
        "worker_count_per_proc": 2,
        "proc_id": 1,
        "addresses": ["localhost:1234", "localhost:5678"],
    }
    assert proc_args(["-p0", "-alocalhost:1"])["worker_count_per_proc"] == 1


@pytest.mark.parametrize("words", [[], ["-p", "0"], ["-a", "localhost:1"], ["-p", "x", "-a", "localhost:1"]], ids=str)
def test_proc_args_needs_both(words, capsys):
    with pytest.raises(SystemExit) as caught:
        proc_args(words)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_command_line_of_the_program_is_the_default(monkeypatch):
    monkeypatch.setattr("sys.argv", ["program", "-p", "0", "-a", "localhost:1", "-w", "4"])
    assert proc_args() == {"worker_count_per_proc": 4, "proc_id": 0, "addresses": ["localhost:1"]}


ENV = {
    "BYTEWAX_WORKERS_PER_PROCESS": "2",
    "BYTEWAX_ADDRESSES": "localhost:1234;localhost:5678",
    "BYTEWAX_PROCESS_ID": "1",
}
PARSED = {"worker_count_per_proc": 2, "proc_id": 1, "addresses": ["localhost:1234", "localhost:5678"]}


def test_proc_env():
    assert proc_env(ENV) == PARSED


def test_proc_env_of_a_stateful_set(tmp_path):
    (tmp_path / "hosts").write_text("localhost:1234\n\nlocalhost:5678\n")
    env = {
        "BYTEWAX_WORKERS_PER_PROCESS": "2",
        "BYTEWAX_HOSTFILE_PATH": str(tmp_path / "hosts"),
        "BYTEWAX_POD_NAME": "my-flow-1",
        "BYTEWAX_STATEFULSET_NAME": "my-flow",
    }
    assert proc_env(env) == PARSED


def test_the_environment_of_the_program_is_the_default(monkeypatch):
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    assert proc_env() == PARSED


@pytest.mark.parametrize("missing", ENV)
def test_a_missing_variable_is_a_key_error(missing):
    with pytest.raises(KeyError):
        proc_env({name: value for name, value in ENV.items() if name != missing})
