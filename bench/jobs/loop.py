"""The plain loop: Python that does the job by hand."""

import time
from pathlib import Path

from .data import (
    ADD,
    CHAIN,
    DOUBLE,
    KEEP,
    PART_BY_DIGIT,
    PART_NAMES,
    Counter,
    Pacer,
    Pair,
    count,
    mean,
    no_mean,
    pair,
    rss_bytes,
    split,
    watched,
    zero,
)


def pass_through(data: list[int], out: list[int]) -> None:
    for item in data:
        out.append(item)


def chain(data: list[int], out: list[int]) -> None:
    a, b, c, d, e = CHAIN
    for item in data:
        item = e(d(c(b(a(item)))))
        if KEEP(item):
            out.append(item)


def word_count(path: Path, out: list[tuple[str, int]]) -> None:
    counts: dict[str, int] = {}
    with path.open() as file:
        for line in file:
            for word in split(line.rstrip("\n")):
                key, one = pair(word)
                state = counts[key] if key in counts else zero()
                counts[key], value = count(state, one)
                out.append((key, value))


def means(data: list[Pair], out: list[Pair]) -> None:
    states = {}
    for key, value in data:
        state = states[key] if key in states else no_mean()
        states[key], value = mean(state, value)
        out.append((key, value))


def source(items: int, out: list[int]) -> None:
    take = Counter(items).next
    while True:
        try:
            item = take()
        except StopIteration:
            return
        item = DOUBLE(ADD(item))
        if KEEP(item):
            out.append(item)


def part_of(item_key: str) -> int:
    return PART_BY_DIGIT[item_key[-1]]


def partitioned(data: list[Pair], out: list[float]) -> None:
    parts = [[] for _ in PART_NAMES]
    for key, value in data:
        parts[part_of(key)].append(value)
    for part in parts:
        out.extend(part)


def latency(items: int, out: list[int]) -> None:
    take = Pacer(items).next
    while True:
        try:
            due = take()
        except StopIteration:
            return
        out.append(time.perf_counter_ns() - due)


def memory(data: list[Pair], out: list[int]) -> None:
    """The user's objects only: the states, in a list made beforehand."""
    states: list[object] = [None] * len(data)
    out.append(rss_bytes())
    for i, (_, value) in enumerate(watched(data, out)):
        states[i] = mean(no_mean(), value)[0]
