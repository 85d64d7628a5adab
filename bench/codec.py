"""The codec of Python items by itself, against pickle: `python bench/codec.py [ROUNDS]`, in nanoseconds of CPU an item.

Each round measures the codec, pickle on the whole list and pickle item by item, one after the other; a ratio is made
within a round and its median printed. Items are freed right after they were decoded, as in a flow. Two things are
worse here than there: the codec's blocks are joined to one bytes, which shows in large items; and the list, too, holds
the items, so that the pair is pickled with its object, not the object alone.
"""

import gc
import os
import pickle
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from statistics import median
from typing import Any
from uuid import UUID

from bytewax._engine import _decode, _encode

ITEMS = 1000
EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)
# Memory that was freed is kept: what the system takes to give it again is not the codec's.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 30)}


class Thing:
    """What only pickle knows."""

    def __init__(self, number: int):
        self.number = number


KINDS: dict[str, Callable[[int], Any]] = {
    "(str, int)": lambda i: (f"user-{i % 100}", i * 37),
    "int": lambda i: i * 1000,
    "float": lambda i: i * 1.5,
    "str of 10": lambda i: f"{i:010}",
    "str of 10, not ASCII": lambda i: f"é{i:09}",
    "bytes of 64": lambda i: bytes([i % 256]) * 64,
    "bytes of 4096": lambda i: bytes([i % 256]) * 4096,
    "datetime": lambda i: EPOCH + timedelta(seconds=i),
    "Decimal": lambda i: Decimal(i) / 100,
    "UUID": lambda i: UUID(int=i << 80 | i),
    "dict of 4": lambda i: {"id": i, "name": f"name-{i}", "price": i * 0.5, "sold": True},
    "(str, [int, int, (float, None)])": lambda i: (f"k{i % 50}", [i, i + 1, (i * 2.5, None)]),
    "(str, object)": lambda i: (f"k{i % 50}", Thing(i)),
}


def measure(function: Callable[[Any], object], argument: Any) -> float:
    begin = time.process_time_ns()
    function(argument)
    return (time.process_time_ns() - begin) / ITEMS


def dumps_each(items: list[Any]) -> list[bytes]:
    return [pickle.dumps(item, 5) for item in items]


def loads_each(data: list[bytes]) -> None:
    for item in data:
        pickle.loads(item)


def compare(rounds: int, contenders: list[tuple[Callable[[Any], object], Any]]) -> str:
    """Time the contenders in turns; the first one's time, and how many times that the others take."""
    turns = [[measure(*contender) for contender in contenders] for _ in range(rounds)]
    first = median(turn[0] for turn in turns)
    ratios = [median(turn[i] / turn[0] for turn in turns) for i in range(1, len(contenders))]
    return f"{first:8.1f} ns" + "".join(f" {ratio:6.1f}x" for ratio in ratios)


def main() -> None:
    """Print a line for each kind of item."""
    if os.environ.get("MALLOC_TRIM_THRESHOLD_") is None:
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEEP_MEMORY})
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print(f"{'':34}{'encode':>11} {'pickle':>7} {'single':>7}{'decode':>15} {'pickle':>7} {'single':>7}")
    for name, make in KINDS.items():
        encoded = _encode(make(i) for i in range(ITEMS))
        items = _decode(encoded)
        pickled, singly = pickle.dumps(items, 5), dumps_each(items)
        gc.collect()
        encode = compare(rounds, [(_encode, items), (lambda items: pickle.dumps(items, 5), items), (dumps_each, items)])
        decode = compare(rounds, [(_decode, encoded), (pickle.loads, pickled), (loads_each, singly)])
        print(f"{name:34}{encode}    {decode}", flush=True)


if __name__ == "__main__":
    main()
