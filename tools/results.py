"""What a run of tests counted: written by each runner, added up by test_layers.py.

Runners append to the file that `BYTEWAX_TEST_RESULTS` names; without it nothing is written.
"""

import os
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "BYTEWAX_TEST_RESULTS"


@dataclass
class Results:
    """Numbers of tests; they add up."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Results") -> "Results":
        return Results(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def write(results: Results) -> None:
    """Add a run to the file, if there is one."""
    path = os.environ.get(VARIABLE)
    if path:
        with open(path, "a") as file:
            file.write(f"{results.passed} {results.failed} {results.skipped}\n")


def read(path: Path) -> Results:
    """Add up the runs in a file."""
    lines = path.read_text().splitlines() if path.exists() else []
    return sum((Results(*map(int, line.split())) for line in lines), Results())
