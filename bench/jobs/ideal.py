"""The bound: a C loop (`ideal/ideal.c`) that calls the user's functions and does nothing else."""

from pathlib import Path

import bench_ideal

from .data import (
    ADD,
    CHAIN,
    DOUBLE,
    KEEP,
    Counter,
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


def chain(data: list[int], out: list[int]) -> None:
    bench_ideal.chain(data, (*CHAIN,), KEEP, out)


def word_count(path: Path, out: list[tuple[str, int]]) -> None:
    bench_ideal.word_count(str(path), split, pair, zero, count, out)


def means(data: list[Pair], out: list[Pair]) -> None:
    bench_ideal.keyed_map(data, no_mean, mean, out)


def source(items: int, out: list[int]) -> None:
    bench_ideal.source(Counter(items).next, (ADD, DOUBLE), KEEP, out)


def memory(data: list[Pair], out: list[int]) -> None:
    out.append(rss_bytes())
    bench_ideal.keyed_map(watched(data, out), no_mean, mean, None)
