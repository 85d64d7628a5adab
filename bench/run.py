"""Measures the engines side by side: `make bench`, `make bench-quick`, or `python bench/run.py --help`.

Each measurement is a fresh process. The engines of a row take turns (A B C A B C ...), so that what else the
machine does hits all of them alike; ratios are made within a turn, and shown with their spread.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import envs
import processes
import report
import rows
from jobs.data import text_file
from rows import Row, Samples

TIME_LIMIT_S = 17 * 60  # from there on, each row gets one turn only
START = time.monotonic()
WRITE_BYTES = 256 * 1024  # of the plain pair of processes: what our I/O thread writes at once, on average, in that row


class Failed(Exception):  # noqa: N818
    """An engine crashed, or gave another result than the others."""


def main() -> int:
    args = parse_args()
    # A quick run and the others agree upon results: string hashes must be the same everywhere.
    os.environ["PYTHONHASHSEED"] = "0"
    found, skipped = find_engines(quick=args.quick)
    chosen = [row for row in rows.ROWS if any(part in row.name for part in args.rows or [""])]
    if "bytewax" not in found:
        print(f"this tree can't be measured: {skipped['bytewax']}", file=sys.stderr)
        return 1
    out = report.Report(quick=args.quick, skipped=skipped)
    failures = 0
    for row in chosen:
        try:
            out.add(row, measure(row, found, quick=args.quick, repetitions=args.repetitions))
        except Failed as failure:
            failures += 1
            print(f"FAILED {row.name}: {failure}", flush=True)
    if args.write:
        out.write(envs.BENCH / "RESULTS.md")
    for engine, reason in skipped.items():
        print(f"skipped {engine}: {reason}")
    return 1 if failures else 0


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help="parts of names: only these rows")
    parser.add_argument("--quick", action="store_true", help="small, once: checks results, not speed")
    parser.add_argument("--repetitions", type=int, help="turns of each row")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md")
    return parser.parse_args()


def find_engines(*, quick: bool) -> tuple[dict[str, Path], dict[str, str]]:
    """What runs each environment's engines, by name; and why others are skipped."""
    makers: dict[str, Callable[[], Path]] = {
        "bytewax": (lambda: Path(sys.executable)) if quick else envs.ours,
        "0.16.2": lambda: envs.upstream("0.16.2", make=not quick),
        "0.21.1": lambda: envs.upstream("0.21.1", make=not quick),
        "c": lambda: envs.c_program("exchange"),
        "c idle": lambda: envs.c_program("idle"),
        "c pair": lambda: envs.c_program("pair"),
        "timely": lambda: envs.timely(make=not quick),
        "ideal": envs.ideal,
    }
    found, skipped = {}, {}
    for name, make in makers.items():
        try:
            found[name] = make()
        except envs.Missing as missing:
            skipped[name] = str(missing)
    return found, skipped


def measure(row: Row, found: dict[str, Path], *, quick: bool, repetitions: int | None) -> Samples:
    engines = [name for name in row.engines if is_there(name, row, found)]
    samples: Samples = {name: [] for name in engines}
    digests: dict[float, tuple[str, Any]] = {}  # by size: who found what
    turns = 1 if quick else repetitions or row.repetitions
    with ExitStack() as stack:
        for turn in range(turns):
            if turn > 0 and time.monotonic() - START > TIME_LIMIT_S:
                break
            for name in engines:
                if name in rows.UPSTREAM and (turn >= row.slow_repetitions or (quick and rows.ENGINES[name].processes)):
                    continue
                size = row.size(name, quick=quick)
                sample = take_sample(row, name, size, found, stack)
                digest = sample.pop("digest", None)
                other, expected = digests.setdefault(size, (name, digest)) if digest is not None else (name, None)
                if digest != expected:
                    message = f"{name} and {other} disagree on the result for {size} items"
                    raise Failed(message)
                samples[name].append(sample)
    return {name: taken for name, taken in samples.items() if taken}


def is_there(name: str, row: Row, found: dict[str, Path]) -> bool:
    needed = {"ideal": ["bytewax", "ideal"]}.get(name, [rows.ENGINES[name].env])
    return all(env in found for env in needed) and not (row.job == "c_idle" and "c idle" not in found)


def take_sample(row: Row, name: str, size: float, found: dict[str, Path], stack: ExitStack) -> dict[str, Any]:
    engine = rows.ENGINES[name]
    if name == rows.PAIR:
        return run_json([found["c pair"], str(int(size) // 2), str(row.item_bytes), str(WRITE_BYTES)], per=2)
    if name == rows.TIMELY_PAIR:
        return run_timely(found["timely"], text_of(int(size), stack), engine)
    match row.job:
        case "exchange":
            return run_json([found[engine.env], text_of(int(size), stack), str(engine.threads)])
        case "c_idle":
            return run_json([found["c idle"], str(size)])
        case "start":
            return time_process([found[engine.env], envs.BENCH / "start" / f"{engine.module}.py"])
    want = {"module": engine.module, "job": row.job, "threads": engine.threads, "processes": engine.processes}
    want.update(items=size, keys=min(row.keys, int(size)), size=row.item_bytes)
    return run_json([found[engine.env], envs.BENCH / "child.py", json.dumps(want)], found.get("ideal"))


TEXTS: dict[int, Path] = {}


def text_of(words: int, stack: ExitStack) -> Path:
    """The file is made once for a row."""
    if words not in TEXTS:
        TEXTS[words], _ = stack.enter_context(text_file(words))
    return TEXTS[words]


def run_timely(program: Path, text: Path, engine: rows.Engine) -> dict[str, Any]:
    addresses = processes.free_addresses(engine.processes)
    commands = [[str(program), str(text), str(engine.threads), str(i), *addresses] for i in range(engine.processes)]
    results = processes.run_together(commands, dict(os.environ))
    return processes.together(results, sum(result["words"] for result in results))


def run_json(command: list[str | Path], module_path: Path | None = None, per: int = 1) -> dict[str, Any]:
    """What a program prints as JSON; `per`: how many items each of those stands for that it counted."""
    env = dict(os.environ)
    if module_path:
        env["PYTHONPATH"] = str(module_path)
    try:
        done = subprocess.run([*map(str, command)], env=env, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired as expired:
        msg = f"no end after {expired.timeout:.0f} s: {command[0]} {command[-1]}"
        raise Failed(msg) from None
    if done.returncode:
        msg = f"exit code {done.returncode}: {command[0]} {command[-1]}\n{done.stderr}"
        raise Failed(msg)
    said = json.loads(done.stdout)
    return said if per == 1 else {metric: value / per for metric, value in said.items()}


def time_process(command: list[str | Path]) -> dict[str, Any]:
    """A process from its start to its end, in ms."""
    start = time.perf_counter()
    child = os.posix_spawn(command[0], [*map(str, command)], os.environ)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - start
    if status:
        msg = f"exit code {os.waitstatus_to_exitcode(status)}: {command[0]} {command[1]}"
        raise Failed(msg)
    return {"cpu": (usage.ru_utime + usage.ru_stime) * 1e3, "wall": wall * 1e3}


if __name__ == "__main__":
    sys.exit(main())
