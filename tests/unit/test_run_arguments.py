"""The parts of bytewax.run: what its command line says, and where a dataflow is."""

import sys

import pytest

from bytewax.dataflow import Dataflow
from bytewax.run import _locate_dataflow, _parse_args, _prepare_import


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty directory to be in, an environment without our variables, and a sys.path to spoil."""
    import os

    for name in [name for name in os.environ if name.startswith("BYTEWAX_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def parse(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["run.py", *words])
    return _parse_args()


def test_what_is_not_given_is_none(monkeypatch):
    args = parse(monkeypatch, "simple")
    assert args.import_str == "simple:flow"
    assert (args.processes, args.workers_per_process, args.process_id, args.addresses) == (None,) * 4
    assert args.epoch_interval == 10


def test_a_path_becomes_a_dotted_name(monkeypatch, place):
    (place / "examples").mkdir()
    (place / "examples" / "__init__.py").touch()
    args = parse(monkeypatch, "examples/basic.py:flow", "-p2", "-w2")
    assert args.import_str == "examples.basic:flow"
    assert (args.processes, args.workers_per_process) == (2, 2)


def test_process_and_addresses_come_from_the_stateful_set(monkeypatch, place):
    (place / "hosts.txt").write_text("localhost:1234\nlocalhost:5678\n")
    monkeypatch.setenv("BYTEWAX_POD_NAME", "my-flow-3")
    monkeypatch.setenv("BYTEWAX_STATEFULSET_NAME", "my-flow")
    monkeypatch.setenv("BYTEWAX_HOSTFILE_PATH", str(place / "hosts.txt"))
    args = parse(monkeypatch, "simple")
    assert (args.process_id, args.addresses) == (3, "localhost:1234;localhost:5678")


@pytest.mark.parametrize(
    ("words", "import_str"),
    [
        (["simple.py", "-d", "other"], "simple:other"),
        (["simple.py", "--dataflow-args"], "simple:flow()"),
        (["simple.py", "-d", "get", "--dataflow-args", "a", "it's"], "simple:get('a', \"it's\")"),
        (["simple:get('a:b', 1)"], "simple:get('a:b', 1)"),
    ],
    ids=str,
)
def test_both_generations_come_to_the_same_form(monkeypatch, words, import_str):
    assert parse(monkeypatch, *words).import_str == import_str


@pytest.mark.parametrize(
    ("import_str", "module", "folder"),
    [
        ("simple", "simple", ""),
        ("simple.py", "simple", ""),
        ("./deep/simple.py", "simple", "deep"),
        ("pkg.sub.mod", "pkg.sub.mod", ""),
        ("pkg/sub/mod.py", "pkg.sub.mod", ""),
        ("pkg/sub/__init__.py", "pkg.sub", ""),
        ("pkg/sub", "pkg.sub", ""),
        ("pkg", "pkg", ""),
    ],
)
def test_a_module_is_named_from_the_first_directory_that_is_no_package(place, import_str, module, folder):
    (place / "pkg" / "sub").mkdir(parents=True)
    (place / "pkg" / "__init__.py").touch()
    (place / "pkg" / "sub" / "__init__.py").touch()
    assert _prepare_import(import_str) == (module, "flow")
    assert sys.path[0] == str((place / folder).resolve())
    assert _prepare_import(f"{import_str}:get(1)") == (module, "get(1)")


def test_a_dataflow_is_located(place, monkeypatch):
    (place / "located_module.py").write_text(
        "from bytewax.dataflow import Dataflow\nflow = Dataflow()\nget = lambda *args: flow\n"
    )
    _prepare_import("located_module")
    try:
        flow = _locate_dataflow("located_module", "flow")
        assert isinstance(flow, Dataflow)
        assert _locate_dataflow("located_module", "get") is flow
        assert _locate_dataflow("located_module", "get('a', 1)") is flow
        with pytest.raises(TypeError, match="could not be called with the specified arguments"):
            _locate_dataflow("located_module", "flow()")
    finally:
        sys.modules.pop("located_module", None)
