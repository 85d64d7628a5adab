#!/usr/bin/env python3
"""List the C files that the build compiles: `list_sources.py KIND [FOLDER]`, one path a line.

KIND is `engine`, `testing`, `c-tests`, `sim`, `fuzz` or `binding`; paths are relative to FOLDER, the root
of the project unless it is given. `all` lists every file of every kind, so that `make` sees a change.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def sources(kind: str) -> list[Path]:
    """Find the files of one kind, sorted."""
    engine = sorted((ROOT / "engine").glob("*.c")) + sorted((ROOT / "engine").glob("*/*.c"))
    testing = ROOT / "engine" / "testing"
    if kind == "engine":
        return [path for path in engine if path.parent != testing and not is_test(path)]
    if kind == "testing":
        return [path for path in engine if path.parent == testing and not is_test(path)]
    if kind == "c-tests":
        return [path for path in engine if is_test(path)]
    if kind == "sim":
        return sorted((ROOT / "tests" / "sim").glob("*_test.c"))
    if kind == "fuzz":
        return sorted((ROOT / "tests" / "fuzz").glob("fuzz_*.c"))
    if kind == "binding":
        return sorted((ROOT / "binding").glob("*.c"))
    if kind == "all":
        return engine + sources("sim") + sources("fuzz") + sources("binding")
    msg = f"unknown kind of sources: {kind!r}"
    raise ValueError(msg)


def is_test(path: Path) -> bool:
    return path.name.endswith("_test.c")


if __name__ == "__main__":
    base = ROOT / sys.argv[2] if len(sys.argv) > 2 else ROOT
    for path in sources(sys.argv[1]):
        print(os.path.relpath(path, base))
