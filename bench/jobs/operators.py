"""The operators API: upstream 0.21.1."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bytewax.operators as op

from bytewax.connectors.files import FileSource
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, FixedPartitionedSink, StatefulSinkPartition, StatelessSinkPartition
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main

from .data import (
    ADD,
    CHAIN,
    DOUBLE,
    KEEP,
    PART_BY_DIGIT,
    PART_NAMES,
    Counter,
    Mean,
    Pacer,
    Pair,
    Probe,
    count,
    mean,
    no_mean,
    pair,
    rss_bytes,
    split,
    watched,
    zero,
)

THREADS = 0  # worker threads; 0: one worker, in the calling thread
BATCH = 1000  # items that a source gives at once, where the source is made for it


def run(flow: Dataflow) -> None:
    if THREADS == 0:
        run_main(flow)
    else:
        cluster_main(flow, [], 0, worker_count_per_proc=THREADS)


def count_or_start(state: int | None, one: int) -> tuple[int, int]:
    return count(zero() if state is None else state, one)


def mean_or_start(state: Mean | None, value: float) -> tuple[Mean, float]:
    return mean(no_mean() if state is None else state, value)


class OneByOne(StatefulSourcePartition):
    """Asks a source written in Python for an item at a time."""

    def __init__(self, inner: Any):
        self.inner = inner

    def next_batch(self) -> list[Any]:
        item = self.inner.next()
        return [] if item is None else [item]

    def snapshot(self) -> None: ...


class OnePart(FixedPartitionedSource):
    def __init__(self, make: Callable[..., Any], *args: Any):
        self.make, self.args = make, args

    def list_parts(self) -> list[str]:
        return ["one"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> OneByOne:
        return OneByOne(self.make(*self.args))


class CallSinkPart(StatelessSinkPartition):
    def __init__(self, write: Callable[[list[Any]], None]):
        self.write_batch = write

    def write_batch(self, items: list[Any]) -> None: ...


class CallSink(DynamicSink):
    """A sink written in Python."""

    def __init__(self, write: Callable[[list[Any]], None]):
        self.write = write

    def build(self, step_id: str, worker_index: int, worker_count: int) -> CallSinkPart:
        return CallSinkPart(self.write)


class PartSink(StatefulSinkPartition):
    def __init__(self, out: list[float]):
        self.out, self.values = out, []

    def write_batch(self, values: list[float]) -> None:
        self.values.extend(values)

    def snapshot(self) -> None: ...

    def close(self) -> None:
        self.out.extend(self.values)


class Parts(FixedPartitionedSink):
    def __init__(self, out: list[float]):
        self.out = out

    def list_parts(self) -> list[str]:
        return PART_NAMES

    def part_fn(self, item_key: str) -> int:
        return PART_BY_DIGIT[item_key[-1]]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> PartSink:
        return PartSink(self.out)


def pass_through(data: list[int], out: list[int]) -> None:
    flow = Dataflow("bench")
    stream = op.input("inp", flow, TestingSource(data, BATCH))
    op.output("out", stream, TestingSink(out))
    run(flow)


def chain(data: list[int], out: list[int]) -> None:
    flow = Dataflow("bench")
    stream = op.input("inp", flow, TestingSource(data, BATCH))
    for i, stage in enumerate(CHAIN):
        stream = op.map(f"map-{i}", stream, stage)
    stream = op.filter("filter", stream, KEEP)
    op.output("out", stream, TestingSink(out))
    run(flow)


def word_count(path: Path, out: list[tuple[str, int]]) -> None:
    flow = Dataflow("bench")
    stream = op.input("inp", flow, FileSource(path, BATCH))
    stream = op.flat_map("split", stream, split)
    keyed = op.map("pair", stream, pair)
    counts = op.stateful_map("count", keyed, count_or_start)
    op.output("out", counts, TestingSink(out))
    run(flow)


def means(data: list[Pair], out: list[Pair]) -> None:
    flow = Dataflow("bench")
    stream = op.input("inp", flow, TestingSource(data, BATCH))
    stream = op.stateful_map("mean", stream, mean_or_start)
    op.output("out", stream, TestingSink(out))
    run(flow)


def source(items: int, out: list[int]) -> None:
    flow = Dataflow("bench")
    stream = op.input("inp", flow, OnePart(Counter, items))
    stream = op.map("add", stream, ADD)
    stream = op.map("double", stream, DOUBLE)
    stream = op.filter("keep", stream, KEEP)
    op.output("out", stream, TestingSink(out))
    run(flow)


def partitioned(data: list[Pair], out: list[float]) -> None:
    flow = Dataflow("bench")
    stream = op.input("inp", flow, TestingSource(data, BATCH))
    op.output("out", stream, Parts(out))
    run(flow)


def latency(items: int, out: list[int]) -> None:
    def write(batch: list[int]) -> None:
        now = time.perf_counter_ns()
        out.extend(now - due for due in batch)

    flow = Dataflow("bench")
    stream = op.input("inp", flow, OnePart(Pacer, items))
    op.output("out", stream, CallSink(write))
    run(flow)


def idle(seconds: float, out: list[dict[str, float]]) -> None:
    flow = Dataflow("bench")
    stream = op.input("inp", flow, OnePart(Probe, seconds, out))
    op.output("out", stream, TestingSink([]))
    run(flow)


def memory(data: list[Pair], out: list[int]) -> None:
    out.append(rss_bytes())
    flow = Dataflow("bench")
    stream = op.input("inp", flow, TestingSource(watched(data, out), BATCH))
    stream = op.stateful_map("mean", stream, mean_or_start)
    op.output("out", stream, CallSink(lambda items: None))
    run(flow)
