"""Run the C tests of a build folder by meson: `c_tests.py BUILD SUITE... [--wrapper COMMAND]`.

Each test program ends with a line `N passed, N failed`; the sum over all of them is printed, and the output of
those that failed.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import results

COUNTS = re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("suite", nargs="+")
    parser.add_argument("--wrapper", help="a command that runs each test program")
    args = parser.parse_args()
    log_name = "testlog-" + Path(args.wrapper.split()[0]).name if args.wrapper else "testlog"
    log = args.build / "meson-logs" / f"{log_name}.json"
    log.unlink(missing_ok=True)
    bin_dir = Path(sys.executable).parent
    subprocess.run([str(bin_dir / "ninja"), "-C", str(args.build), "--quiet", "meson-test-prereq"], check=True)
    command = [
        str(bin_dir / "meson"),
        "test",
        "-C",
        str(args.build),
        "--no-rebuild",
        "--print-errorlogs",
        "--quiet",
    ]
    for suite in args.suite:
        command += ["--suite", suite]
    if args.wrapper:
        command += ["--wrapper", args.wrapper]
    tested = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if tested.returncode:
        print(tested.stdout)

    total = results.Results()
    for line in log.read_text().splitlines():
        test = json.loads(line)
        counts = COUNTS.findall(test.get("stdout") or "")
        counted = results.Results(*map(int, counts[-1])) if counts else results.Results()
        if test["result"] == "OK":
            counted.passed = counted.passed or 1  # it is one test
        elif test["result"] == "SKIP":
            counted.skipped += 1
        else:
            counted.failed = counted.failed or 1  # it died before it could say so
        total += counted
    results.write(total)
    print(f"{args.build} {'+'.join(args.suite)}: {total}")
    return 1 if tested.returncode or total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
