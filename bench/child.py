"""One measurement, in a process of its own: `child.py WANTED` prints a line of JSON.

WANTED is JSON, too: a function (`job`) of an engine's `module`, and how many `items`, `keys`, `threads`. With
`processes` it starts so many, each a child.py that is told its `place` among them, and adds up what they say.
"""

import gc
import importlib
import json
import sys
import time
from contextlib import ExitStack
from statistics import median, quantiles
from typing import Any

import processes
from jobs import data as inputs


def main() -> None:
    """Runs the job and prints what it took and what came out."""
    want = json.loads(sys.argv[1])
    if want["processes"] and "place" not in want:
        print(json.dumps(processes.measure(want, make_input, evaluate)))
        return
    module = importlib.import_module(f"jobs.{want['module']}")
    if want["threads"]:
        module.THREADS = want["threads"]
    with ExitStack() as stack:
        items, given = make_input(want, stack)
        out: list[Any] = []
        job = getattr(module, want["job"])
        if "place" in want:
            module.PLACE = want["place"]
            processes.wait_for_the_others()
        gc.collect()
        cpu, start = time.process_time_ns(), time.perf_counter_ns()
        job(given, out)
        cpu, end = time.process_time_ns() - cpu, time.perf_counter_ns()
    if "place" in want:
        print(json.dumps({"cpu": cpu, "start": start, "end": end, "out": told(want["job"], out)}))
        return
    wall = end - start
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
        case "word_count_halves":
            paths = [stack.enter_context(inputs.text_file(items // 2)) for _ in range(2)]
            return sum(words for _, words in paths), [path for path, _ in paths]
        case "means" | "means_halves" | "partitioned" | "memory":
            return items, inputs.pairs(items, want["keys"])
        case "busy_halves":
            return items, inputs.integers(items)
        case "deal" | "deal_away":
            return items, inputs.bytes_of(items, want["size"]) if want["size"] else inputs.integers(items)
        case _:
            return items, items


def digest_of_keys(out: list[Any]) -> int:
    """Values of two sources meet in any order, so that their running means are any, too."""
    return sum(hash(key) for key, _ in out)


def evaluate(job: str, out: list[Any], items: int) -> dict[str, Any]:
    """What the job's output says: its figures, or a digest that all engines must agree upon."""
    match job:
        case "latency" | "latency_across":
            return {"p50": median(out), "p99": quantiles(out, n=100)[98]}
        case "idle" | "empty":
            return out[0]
        case "idle_halves":
            return {name: sum(one[name] for one in out) for name in out[0]}
        case "deal_away" | "first_poll":
            return {}
        case "memory":
            return {"bytes": (out[-1] - out[0]) / items}
        case "pass_through" | "chain" | "source":
            return {"digest": sum(map(hash, enumerate(out)))}  # in order
        case "means_halves":
            return {"digest": digest_of_keys(out)}
        case _:
            return {"digest": sum(map(hash, out))}  # in any order; the hash seed is fixed


def told(job: str, out: list[Any]) -> list[Any]:
    """What one process of several tells of what came out: figures, or a digest as text."""
    match job:
        case "latency_across" | "idle_halves" | "first_poll":
            return out
        case "deal_away":
            return []
        case "means_halves":
            return [str(digest_of_keys(out))]
        case _:
            return [str(sum(map(hash, out)))]


if __name__ == "__main__":
    main()
