"""One measurement, in a process of its own: `child.py WANTED` prints a line of JSON.

WANTED is JSON, too: a function (`job`) of an engine's `module`, and how many `items`, `keys`, `threads`.
"""

import gc
import importlib
import json
import sys
import time
from contextlib import ExitStack
from statistics import median, quantiles
from typing import Any

from jobs import data as inputs


def main() -> None:
    """Runs the job and prints what it took and what came out."""
    want = json.loads(sys.argv[1])
    module = importlib.import_module(f"jobs.{want['module']}")
    if want["threads"]:
        module.THREADS = want["threads"]
    with ExitStack() as stack:
        items, given = make_input(want, stack)
        out: list[Any] = []
        job = getattr(module, want["job"])
        gc.collect()
        cpu, wall = time.process_time_ns(), time.perf_counter_ns()
        job(given, out)
        cpu, wall = time.process_time_ns() - cpu, time.perf_counter_ns() - wall
    print(json.dumps({"cpu": cpu / items, "wall": wall / items, **evaluate(want["job"], out, items)}))


def make_input(want: dict[str, Any], stack: ExitStack) -> tuple[int, Any]:
    """How many items the input has, and the input."""
    items = want["items"]
    match want["job"]:
        case "pass_through" | "chain":
            return items, inputs.integers(items)
        case "word_count":
            path, words = stack.enter_context(inputs.text_file(items))
            return words, path
        case "means" | "partitioned" | "memory":
            return items, inputs.pairs(items, want["keys"])
        case _:
            return items, items


def evaluate(job: str, out: list[Any], items: int) -> dict[str, Any]:
    """What the job's output says: its figures, or a digest that all engines must agree upon."""
    match job:
        case "latency":
            return {"p50": median(out), "p99": quantiles(out, n=100)[98]}
        case "idle" | "empty":
            return out[0]
        case "memory":
            return {"bytes": (out[-1] - out[0]) / items}
        case "pass_through" | "chain" | "source":
            return {"digest": sum(map(hash, enumerate(out)))}  # in order
        case _:
            return {"digest": sum(map(hash, out))}  # in any order; the hash seed is fixed


if __name__ == "__main__":
    main()
