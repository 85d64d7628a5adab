"""Installs of the whole: normal and editable, each beside another distribution with a module in `bytewax/`."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ["binding", "engine", "python", "tools", "tests/fuzz", "tests/sim"]
FILES = ["LICENSE", "README.md", "meson.build", "meson.options", "pyproject.toml"]
BIN = Path(sys.executable).parent  # meson, ninja and meson-python are here

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BIN / "meson").exists(), reason="needs meson beside the interpreter"),
]


def run(command, cwd=None, extra_path=""):
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(extra_path)}
    environment.pop("BYTEWAX_NO_REBUILD", None)
    command = list(map(str, command))
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd)
    assert result.returncode == 0, f"{command}:\n{result.stdout}{result.stderr}"
    return result.stdout


def pip(python, *arguments):
    """Run this environment's pip on another one."""
    return run([sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, *arguments])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Make a copy of what a build reads: no build folder, and free to be changed."""
    copy = tmp_path_factory.mktemp("source")
    for folder in SOURCES:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, copy / file)
    return copy


@pytest.fixture
def environment(tmp_path):
    """Make an empty environment; give its interpreter."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    return tmp_path / "venv" / "bin" / "python"


@pytest.fixture(scope="module")
def dummy(tmp_path_factory):
    """Make a wheel of another distribution, with `bytewax/dummy.py`."""
    wheel = tmp_path_factory.mktemp("dummy") / "bytewax_dummy-1.0-py3-none-any.whl"
    info = "bytewax_dummy-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("bytewax/dummy.py", "from bytewax.inputs import PartitionedInput as Parent\nHERE = True\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: bytewax-dummy\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


USE_BOTH = """
import bytewax.dummy, bytewax.connectors.files, bytewax._engine
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main

out = []
flow = Dataflow()
flow.input("in", TestingInput([1, 2]))
flow.map(lambda x: x + 1)
flow.output("out", TestingOutput(out))
run_main(flow)
print(out, bytewax.dummy.HERE, bytewax.dummy.Parent.__module__)
"""


def test_a_normal_install_shares_bytewax_with_another_distribution(source, environment, dummy, tmp_path):
    pip(sys.executable, "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", tmp_path, source)
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "bytewax/py.typed" in names
    assert "bytewax/_engine.pyi" in names
    assert "bytewax/__init__.py" not in names
    unwanted = ("meson.build", ".pyc", ".a", ".h", "README.md")
    assert not [name for name in names if name.endswith(unwanted)]
    pip(environment, "install", "-q", "--no-deps", wheel, dummy)
    assert run([environment, "-c", USE_BOTH], cwd=tmp_path) == "[2, 3] True bytewax.inputs\n"
    version = "import importlib.metadata; print(importlib.metadata.version('bytewax'))"
    assert run([environment, "-c", version], cwd=tmp_path) >= "0.21"


def test_an_editable_install_shares_bytewax_and_rebuilds_on_import(source, environment, dummy, tmp_path):
    pip(environment, "install", "-q", "--no-deps", dummy)
    # The hook that pip calls, with the build tools of this environment; the other one has none.
    hook = "import sys, build_backend; build_backend.build_editable(sys.argv[1], {'build-dir': 'build'})"
    run([sys.executable, "-c", hook, tmp_path], cwd=source, extra_path=source / "tools")
    pip(environment, "install", "-q", "--no-deps", *tmp_path.glob("*.whl"))
    assert run([environment, "-c", USE_BOTH], cwd=tmp_path) == "[2, 3] True bytewax.inputs\n"

    module = source / "binding" / "module.c"
    module.write_text(module.read_text() + "\n#error planted\n")
    with pytest.raises(AssertionError, match="planted"):
        run([environment, "-c", "import bytewax._engine"], cwd=tmp_path)
    module.write_text(module.read_text().replace("#error planted\n", ""))
    (source / "python" / "bytewax" / "fresh.py").write_text("")
    assert run([environment, "-c", "import bytewax.fresh; " + USE_BOTH.strip()], cwd=tmp_path).startswith("[2, 3]")
