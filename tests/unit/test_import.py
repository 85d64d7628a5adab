"""What it takes to import the package."""

import resource
import subprocess
import sys

import pytest

FLOW = """
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main
out = []
flow = Dataflow()
flow.input("inp", TestingInput(range(3)))
flow.map(lambda item: item + 1)
flow.output("out", TestingOutput(out))
run_main(flow)
assert out == [1, 2, 3]
"""
HEAVY = ["typing", "dataclasses", "inspect", "argparse", "pathlib", "threading", "asyncio", "logging", "json", "re"]
# Leaves out what site and .pth files import, which has nothing to do with us, and says where we are.
BARE = [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}"]


def with_text(text):
    *words, path = BARE
    return [*words, f"{path}\n{text}"]


def test_a_small_flow_needs_no_heavy_modules():
    text = FLOW + f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    done = subprocess.run(with_text(text), capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.slow
def test_a_small_flow_takes_15_ms_over_a_bare_interpreter():
    def cpu_s(command):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    flow, bare = with_text(FLOW), BARE
    pairs = [(cpu_s(flow), cpu_s(bare)) for _ in range(20)]  # side by side: the machine may be busy
    assert min(pair[0] for pair in pairs) - min(pair[1] for pair in pairs) < 0.015


@pytest.mark.parametrize(
    "module",
    [
        "_encoder", "connectors.files", "connectors.stdio", "dataflow", "errors", "execution", "inputs", "outputs",
        "parse", "run", "testing",
    ],
)  # fmt: skip
def test_every_module_imports_on_its_own(module):
    subprocess.run(with_text(f"import bytewax.{module}"), check=True, timeout=60)
