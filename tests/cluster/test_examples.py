"""The example that counts words, as a cluster on this machine."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def run_example():
    def run_example(*words):
        command = [sys.executable, "-m", "bytewax.run", "examples/wordcount.py", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    return run_example


@pytest.mark.parametrize("words", [["-p", "2"], ["-p", "2", "-w", "2"], ["-p", "3", "-w", "1"]], ids=" ".join)
def test_processes_count_what_one_worker_counts(run_example, words):
    alone, together = run_example(), run_example(*words)
    assert alone.returncode == together.returncode == 0, together.stderr
    assert alone.stdout == together.stdout != ""
