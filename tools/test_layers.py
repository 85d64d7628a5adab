"""Run layers of tests, each by its make target, and sum up: `test_layers.py TARGET...`.

A layer that fails doesn't keep the next from running. The last line is `N passed, N failed` over all layers;
a layer that fails without a failed test (it doesn't build, a check complains) counts as one. A check
without tests (lint, types, floors) counts as one that passed.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import results


def run(target: str, file: Path) -> tuple[results.Results, float]:
    """Run one layer; its output goes to the terminal."""
    print(f"--- {target}", flush=True)
    began = time.monotonic()
    environment = {**os.environ, results.VARIABLE: str(file)}
    code = subprocess.run(["make", "--no-print-directory", target], env=environment).returncode
    counted = results.read(file)
    if code and not counted.failed:
        counted.failed = 1
    elif not code and counted == results.Results():
        counted.passed = 1
    return counted, time.monotonic() - began


def main(targets: list[str]) -> int:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for target in targets:
            counted, seconds = run(target, Path(folder) / target)
            rows.append((target, counted, seconds))
    print("\n--- summary")
    for target, counted, seconds in rows:
        mark = "FAILED" if counted.failed else "ok"
        print(f"{mark:6} {target:14} {seconds:6.1f} s  {counted}")
    total = sum((counted for _, counted, _ in rows), results.Results())
    print(f"{sum(seconds for *_, seconds in rows):.0f} s in all\n")
    print(total)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
