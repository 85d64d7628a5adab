"""`python -m bytewax.run`: both generations of its command line."""

import os
import subprocess
import sys

import pytest

from bytewax.dataflow import Dataflow
from bytewax.run import cli_main
from bytewax.testing import TestingInput, TestingOutput

FLOW = """
import threading
from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, cluster_main, run_main

def make(items):
    flow = Dataflow()
    flow.input("inp", TestingInput(items))
    flow.output("out", StdOutput())
    return flow

flow = make(range(3))
"""


@pytest.fixture
def script(tmp_path):
    """Return a function that runs `python -m bytewax.run` in a directory of its own."""

    def script(*words, env=None, text=FLOW, name="simple.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        here = {k: v for k, v in os.environ.items() if not k.startswith("BYTEWAX_") or k == "BYTEWAX_NO_REBUILD"}
        return subprocess.run(
            [sys.executable, "-m", "bytewax.run", *map(str, words)],
            cwd=tmp_path,
            env={**here, **(env or {})},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return script


def lines_of(done):
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


# --- which dataflow -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", ["simple", "simple.py", "./simple.py", "simple:flow", "simple.py:flow", "simple:make([0, 1, 2])"]
)
def test_the_dataflow_of_a_module_is_run(script, place):
    assert lines_of(script(place)) == ["0", "1", "2"]


@pytest.mark.parametrize(
    "place", ["pkg.sub.mod", "pkg/sub/mod.py", "pkg/sub/mod", "pkg/sub/mod.py:flow", "./pkg/sub/mod.py"]
)
def test_a_module_in_packages_is_found_and_may_import_its_siblings(script, tmp_path, place):
    (tmp_path / "pkg" / "sub").mkdir(parents=True)
    (tmp_path / "pkg" / "__init__.py").touch()
    (tmp_path / "pkg" / "sub" / "__init__.py").touch()
    (tmp_path / "pkg" / "other.py").write_text("number = 7\n")
    text = FLOW + "from ..other import number\nflow = make([number, __name__])\n"
    assert lines_of(script(place, text=text, name="pkg/sub/mod.py")) == ["7", "pkg.sub.mod"]


@pytest.mark.parametrize("place", ["pkg", "pkg/__init__.py", "pkg/__init__"])
def test_a_package_may_hold_the_dataflow(script, place):
    assert lines_of(script(place, name="pkg/__init__.py")) == ["0", "1", "2"]


def test_a_file_in_a_plain_directory_is_found(script):
    text = FLOW + "flow = make([__name__])\n"
    assert lines_of(script("deep/er/file.py", text=text, name="deep/er/file.py")) == ["file"]


def test_an_absolute_path_is_found(script, tmp_path):
    assert lines_of(script(tmp_path / "simple.py")) == ["0", "1", "2"]


FACTORIES = (
    FLOW
    + """
import functools
def get_flow(*args, **kwargs):
    return make([f"{args} {sorted(kwargs.items())}"])
class Factory:
    def __call__(self):
        return make(["called"])
partial = functools.partial(get_flow, "partial")
instance = Factory()
"""
)


@pytest.mark.parametrize(
    ("attribute", "line"),
    [
        ("get_flow", "() []"),
        ("get_flow()", "() []"),
        ("get_flow('a', 1, [2.5], key={'x': None})", "('a', 1, [2.5]) [('key', {'x': None})]"),
        ("partial", "('partial',) []"),
        ("instance", "called"),
        ("instance()", "called"),
    ],
)
def test_a_factory_is_called(script, attribute, line):
    assert lines_of(script(f"simple:{attribute}", text=FACTORIES)) == [line]


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("missing", "ImportError: Could not import 'missing'."),
        ("simple:flow.steps", "ValueError: Failed to parse 'flow.steps' as an attribute name or function call."),
        ("simple:not a name", "SyntaxError: Failed to parse 'not a name' as an attribute name or function call."),
        ("simple:a.b()", "TypeError: Function reference must be a simple name: 'a.b()'."),
        ("simple:make(flow)", "ValueError: Failed to parse arguments as literal values: 'make(flow)'."),
        ("simple:make(*[1])", "ValueError: Failed to parse arguments as literal values: 'make(*[1])'."),
        ("simple:none", "AttributeError: Failed to find attribute 'none' in 'simple'."),
        (
            "simple:make()",
            "TypeError: The factory 'make()' in module 'simple' could not be called with the specified arguments.",
        ),
        (
            "simple:make",
            "TypeError: The factory 'make' in module 'simple' could not be called with the specified arguments.",
        ),
        ("simple:threading", "RuntimeError: A valid Bytewax dataflow was not obtained from 'simple:threading'."),
        ("simple:inside()", "TypeError: from inside"),
    ],
)
def test_what_is_no_dataflow_is_an_error(script, place, error):
    text = FLOW + "def inside():\n    raise TypeError('from inside')\n"
    done = script(place, text=text)
    assert done.returncode == 1
    assert error in done.stderr
    assert "Traceback" in done.stderr
    assert done.stdout == ""


def test_an_import_error_inside_the_module_is_shown(script):
    done = script("simple", text="import nothing_of_that_name\n")
    assert done.returncode == 1
    assert "ImportError: While importing 'simple', an ImportError was raised:" in done.stderr
    assert "No module named 'nothing_of_that_name'" in done.stderr


def test_another_exception_inside_the_module_comes_as_it_is(script):
    done = script("simple", text="1 / 0\n")
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ZeroDivisionError: division by zero")


# --- how it is run ------------------------------------------------------------------------------------


WORKERS = (
    FLOW
    + """
import sys
# One write, as print() makes two and lines of several workers could mix.
flow.inspect(lambda item: sys.stdout.write(threading.current_thread().name + "\\n"))
"""
)


@pytest.mark.parametrize("words", [["-w", 4], ["--workers-per-process", 4], ["-w4"]], ids=str)
def test_workers_are_threads(script, words):
    lines = lines_of(script("simple", *words, text=WORKERS))
    assert lines == ["0", "1", "2", "bytewax:worker-1", "bytewax:worker-2", "bytewax:worker-3"]


def test_one_worker_is_the_main_thread(script):
    assert lines_of(script("simple", text=WORKERS)) == ["0", "1", "2", *["MainThread"] * 3]


def test_a_process_of_a_cluster_of_one(script, free_port):
    lines = lines_of(script("simple", "-i", 0, "-a", f"localhost:{free_port}", "-w", 2, text=WORKERS))
    assert lines == ["0", "1", "2", "bytewax:worker-0", "bytewax:worker-1", "bytewax:worker-1"]


@pytest.mark.parametrize("addresses", ["localhost:2101", "localhost:2101;host.invalid:1", "nonsense"])
def test_addresses_without_a_process_id_are_not_used(script, addresses):
    assert lines_of(script("simple", "-a", addresses, text=WORKERS))[-1] == "MainThread"


EPOCHS = FLOW + "flow.inspect_epoch(lambda epoch, item: print('epoch', epoch))\n"


@pytest.mark.parametrize(("interval", "last"), [("0", 2), ("0.0", 2), ("3600", 0), ("2.5", 0)])
def test_an_epoch_interval_is_in_seconds(script, interval, last):
    assert lines_of(script("simple", "--epoch-interval", interval, text=EPOCHS))[-1] == f"epoch {last}"


@pytest.mark.parametrize("text", ["run_main(flow)", "cluster_main(flow, [], 0, worker_count_per_proc=2)"])
def test_entry_points_in_the_file_do_nothing(script, tmp_path, text):
    text = FLOW + f"print('returned', {text})\n"
    assert lines_of(script("simple", text=text)) == ["0", "1", "2", "returned None"]
    assert lines_of(script("simple", "-w", 2, text=text)) == ["0", "1", "2", "returned None"]
    direct = subprocess.run([sys.executable, "simple.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert lines_of(direct) == ["0", "1", "2", "returned None"]


@pytest.mark.parametrize(
    "words",
    [["simple.py", "-d", "flow"], ["simple.py", "--dataflow-name", "flow"], ["simple.py", "-d", "get"]],
    ids=str,
)
def test_the_older_command_line_names_the_dataflow(script, words):
    assert lines_of(script(*words, text=FLOW + "get = lambda: make(range(3))\n")) == ["0", "1", "2"]


def test_the_older_command_line_gives_strings_to_the_factory(script):
    done = script("simple.py", "-d", "get_flow", "--dataflow-args", "a'b", "2", text=FACTORIES)
    assert lines_of(done) == ["""("a'b", '2') []"""]


def test_the_older_command_line_takes_flow_if_nothing_is_named(script):
    text = FLOW + "def flow(path):\n    return make([path])\n"
    assert lines_of(script("simple.py", "--dataflow-args", "some/path", text=text)) == ["some/path"]


@pytest.mark.parametrize(
    ("env", "check"),
    [
        ({"BYTEWAX_WORKERS_PER_PROCESS": "3"}, "bytewax:worker-2"),
        ({"BYTEWAX_PROCESSES": "1"}, "MainThread"),
        ({"BYTEWAX_PROCESS_ID": "0", "BYTEWAX_ADDRESSES": "localhost:{port}"}, "bytewax:worker-0"),
        (
            {
                "BYTEWAX_POD_NAME": "my-flow-0",
                "BYTEWAX_STATEFULSET_NAME": "my-flow",
                "BYTEWAX_ADDRESSES": "localhost:{port}",
            },
            "bytewax:worker-0",
        ),
    ],
    ids=str,
)
def test_the_environment_gives_defaults(script, free_port, env, check):
    env = {name: value.format(port=free_port) for name, value in env.items()}
    assert lines_of(script("simple", env=env, text=WORKERS))[-1] == check


def test_the_environment_gives_the_epoch_interval(script):
    assert lines_of(script("simple", env={"BYTEWAX_EPOCH_INTERVAL": "0"}, text=EPOCHS))[-1] == "epoch 2"


def test_the_command_line_goes_before_the_environment(script):
    done = script("simple", "-w", 1, env={"BYTEWAX_WORKERS_PER_PROCESS": "3"}, text=WORKERS)
    assert lines_of(done)[-1] == "MainThread"


def test_a_host_file_gives_the_address(script, tmp_path, free_port):
    (tmp_path / "hosts").write_text(f"\nlocalhost:{free_port}\n\n")
    env = {"BYTEWAX_HOSTFILE_PATH": str(tmp_path / "hosts")}
    assert lines_of(script("simple", "-i", 0, env=env, text=WORKERS))[-1] == "bytewax:worker-0"


def test_processes_beside_a_process_id_are_ignored_with_a_warning(script, free_port):
    done = script("simple", "-p", 4, "-i", 0, "-a", f"localhost:{free_port}")
    assert lines_of(done) == ["0", "1", "2"]
    assert "UserWarning: Both '-p' and '-a/-i' specified." in done.stderr


# --- what is wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "env", "said"),
    [
        ([], {}, "import_str"),
        (["simple", "--no-such-flag"], {}, "--no-such-flag"),
        (["simple", "-w", "0"], {}, "-w/--workers-per-process"),
        (["simple", "-w", "-1"], {}, "-w/--workers-per-process"),
        (["simple", "-w", "two"], {}, "-w/--workers-per-process"),
        (["simple", "-p", "0"], {}, "-p/--processes"),
        (["simple", "-p", "-1"], {}, "-p/--processes"),
        (["simple", "-p", "two"], {}, "-p/--processes"),
        (["simple", "-p", "2", "-w", "0"], {}, "-w/--workers-per-process"),
        (["simple", "-p", "2"], {"BYTEWAX_CLUSTER_TIMEOUT": "soon"}, "BYTEWAX_CLUSTER_TIMEOUT"),
        (["simple", "-i", "1", "-a", "localhost:2101"], {}, "-i/--process-id"),
        (["simple", "-i", "2", "-a", "localhost:2101;localhost:2102"], {}, "-i/--process-id"),
        (["simple", "-i", "0", "-a", "127.0.0.1:2101"], {"BYTEWAX_CLUSTER_SECRET": ""}, "BYTEWAX_CLUSTER_SECRET"),
        (["simple", "-i", "-1", "-a", "localhost:2101"], {}, "-i/--process-id"),
        (["simple", "-i", "0"], {}, "the addresses option is required if a process_id is passed"),
        (["simple", "--sqlite-directory", "."], {}, "recovery is not supported by this version"),
        (["simple.py", "-r", "sqlite"], {}, "recovery is not supported by this version"),
        (["simple.py", "-r", "kafka", "--kafka-topic", "t"], {}, "recovery is not supported by this version"),
        (["simple.py", "-r", "other"], {}, "-r"),
        (["simple.py", "--kafka-brokers", "localhost:9092"], {}, "recovery is not supported by this version"),
        (["simple", "--epoch-interval", "often"], {}, "--epoch-interval"),
        (["simple", "--epoch-interval", "nan"], {}, "--epoch-interval"),
        (["simple", "--epoch-interval", "1e300"], {}, "--epoch-interval"),
        (["simple", "--epoch-interval", "-1"], {}, "--epoch-interval"),
        (["simple:flow", "-d", "flow"], {}, "-d"),
        (["simple"], {"BYTEWAX_PROCESSES": "two"}, "two"),
        (["simple"], {"BYTEWAX_SQLITE_DIRECTORY": "."}, "recovery is not supported by this version"),
        (["simple"], {"BYTEWAX_WORKERS_PER_PROCESS": "two"}, "two"),
        (["simple"], {"BYTEWAX_PROCESS_ID": "0"}, "the addresses option is required"),
        (["simple", "-i", "0"], {"BYTEWAX_HOSTFILE_PATH": "no/such/file"}, "BYTEWAX_HOSTFILE_PATH"),
        (
            ["simple"],
            {"BYTEWAX_POD_NAME": "other", "BYTEWAX_STATEFULSET_NAME": "my-flow"},
            "BYTEWAX_POD_NAME",
        ),
    ],
    ids=str,
)
def test_a_usage_error_exits_with_2(script, words, env, said):
    done = script(*words, env=env)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "usage: python -m bytewax.run" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_exits_with_1(script, workers):
    done = script("simple", "-w", workers, text=FLOW + "flow.map(lambda item: 1 // 0)\n")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "Traceback" in done.stderr


def test_items_before_a_failure_are_printed(script):
    text = FLOW + "flow.map(lambda item: 1 // (2 - item))\n"
    done = script("simple", text=text)
    assert (done.returncode, done.stdout) == (1, "0\n1\n2\n")


def test_a_port_in_use_exits_with_1(script, free_port):
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port))
        other.listen()
        done = script("simple", "-i", 0, "-a", f"127.0.0.1:{free_port}")
    assert done.returncode == 1
    assert "Address already in use" in done.stderr


def test_help_names_the_environment(script):
    done = script("--help", env={"COLUMNS": "300"})
    assert done.returncode == 0
    for name in ["PROCESSES", "WORKERS_PER_PROCESS", "PROCESS_ID", "ADDRESSES", "SQLITE_DIRECTORY", "EPOCH_INTERVAL"]:
        assert any(line.endswith(f"[env: BYTEWAX_{name}]") for line in done.stdout.splitlines()), name


# --- cli_main -----------------------------------------------------------------------------------------


@pytest.fixture
def out():
    return []


@pytest.fixture
def flow(out):
    flow = Dataflow()
    flow.input("inp", TestingInput(range(3)))
    flow.output("out", TestingOutput(out))
    return flow


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"processes": None, "workers_per_process": None},
        {"workers_per_process": 3},
        {"epoch_interval": 0.5},
        {"epoch_interval": 0},
        {"process_id": 0, "addresses": []},
    ],
    ids=str,
)
def test_cli_main_runs_a_dataflow(flow, out, kwargs):
    assert cli_main(flow, **kwargs) is None
    assert sorted(out) == [0, 1, 2]


@pytest.mark.parametrize("kwargs", [{"process_id": 0}, {"addresses": ["localhost:2101"]}], ids=str)
def test_cli_main_takes_processes_or_addresses(flow, kwargs):
    with pytest.raises(RuntimeError, match="Can't specify both 'processes' and 'process_id/addresses'"):
        cli_main(flow, processes=2, **kwargs)


def test_cli_main_checks_its_arguments(flow, out):
    for count in (0, -1):
        with pytest.raises(ValueError, match="argument 'processes'"):
            cli_main(flow, processes=count)
    with pytest.raises(ValueError, match="argument 'proc_id'"):
        cli_main(flow, process_id=1, addresses=["localhost:2101"])
    with pytest.raises(TypeError, match="recovery_config"):
        cli_main(flow, recovery_config="directory")
    with pytest.raises(ValueError, match="worker_count_per_proc"):
        cli_main(flow, workers_per_process=0)
    assert out == []


def test_cli_main_does_not_use_addresses_without_a_process_id(flow, out):
    cli_main(flow, addresses=["localhost:2101", "host.invalid:2102"])
    assert out == [0, 1, 2]
