"""Run the tests of a folder by several pytests side by side, a file each: `parallel_tests.py COUNT FOLDER [OPTION...]`.

For tests that wait more than they compute. `TEST_PORTS=FIRST-LAST` tells each pytest which ports are its own.
"""

import os
import queue
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PORTS = range(10_000, 32_000)  # below those that Linux gives out by itself


def run(file: Path, options: list[str], slots: "queue.Queue[range]") -> bool:
    """Run the tests of a file in a slot; what it says comes out in one piece, in short if all is well."""
    ports = slots.get()
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, str(file)],
        env={**os.environ, "TEST_PORTS": f"{ports.start}-{ports.stop}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    slots.put(ports)
    last = done.stdout.rstrip().rpartition("\n")[2]
    print(f"{file} ({time.monotonic() - began:.0f} s): {last}" if done.returncode == 0 else done.stdout, flush=True)
    return done.returncode == 0


def main(count: int, folder: str, options: list[str]) -> int:
    files = sorted(Path(folder).glob("test_*.py"), key=lambda file: -file.stat().st_size)  # the long ones first
    slots: queue.Queue[range] = queue.Queue()
    for slot in range(count):
        slots.put(PORTS[slot * len(PORTS) // count : (slot + 1) * len(PORTS) // count])
    with ThreadPoolExecutor(count) as pool:
        return 0 if all([*pool.map(lambda file: run(file, options, slots), files)]) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
