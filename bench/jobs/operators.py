"""The operators API: upstream 0.21.1."""

import os
import time
from collections import deque
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
    busy,
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
PLACE: tuple[list[str], int] | None = None  # addresses of the processes, and which of them this is
BATCH = 1000  # items that a source gives at once, where the source is made for it


def run(flow: Dataflow) -> None:
    if PLACE:
        cluster_main(flow, *PLACE, worker_count_per_proc=max(1, THREADS))
    elif THREADS == 0:
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


class Shares(FixedPartitionedSource):
    """One source for each half of the input: in two processes of one worker, each has one of them."""

    def __init__(self, *sources: Callable[[str], StatefulSourcePartition]):
        self.sources = dict(zip(("part-0", "part-1"), sources, strict=True))

    def list_parts(self) -> list[str]:
        return [*self.sources]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> StatefulSourcePartition:
        return self.sources[for_part](step_id)


def source_of(source: FixedPartitionedSource) -> Callable[[str], StatefulSourcePartition]:
    """What builds the only partition of a source."""
    (part,) = source.list_parts()
    return lambda step_id: source.build_part(step_id, part, None)


def halves(data: list[Any]) -> Shares:
    return Shares(*(source_of(TestingSource(data[i::2], BATCH)) for i in range(2)))


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


# Two processes, a source in each.


def word_count_halves(paths: list[Path], out: list[tuple[str, int]]) -> None:
    flow = Dataflow("bench")
    stream = op.input("inp", flow, Shares(*(source_of(FileSource(path, BATCH)) for path in paths)))
    stream = op.flat_map("split", stream, split)
    keyed = op.map("pair", stream, pair)
    counts = op.stateful_map("count", keyed, count_or_start)
    op.output("out", counts, TestingSink(out))
    run(flow)


def means_halves(data: list[Pair], out: list[Pair]) -> None:
    flow = Dataflow("bench")
    stream = op.input("inp", flow, halves(data))
    stream = op.stateful_map("mean", stream, mean_or_start)
    op.output("out", stream, TestingSink(out))
    run(flow)


def busy_halves(data: list[int], out: list[int]) -> None:
    flow = Dataflow("bench")
    stream = op.input("inp", flow, halves(data))
    stream = op.map("busy", stream, busy)
    op.output("out", stream, TestingSink(out))
    run(flow)


def deal(data: list[Any], out: list[Any]) -> None:
    """One source, whose items are dealt out to all workers."""
    flow = Dataflow("bench")
    stream = op.input("inp", flow, TestingSource(data, BATCH))
    op.output("out", op.redistribute("deal", stream), TestingSink(out))
    run(flow)


def deal_away(data: list[Any], out: list[Any]) -> None:
    """The same, and nobody keeps them."""
    flow = Dataflow("bench")
    stream = op.input("inp", flow, TestingSource(data, BATCH))
    op.output("out", op.redistribute("deal", stream), TestingSink(deque(maxlen=1)))
    run(flow)


class AcrossSink(StatefulSinkPartition):
    """Notes how late each item is that another process has sent."""

    def __init__(self, out: list[int]):
        self.out = out

    def write_batch(self, values: list[tuple[int, int]]) -> None:
        now = time.perf_counter_ns()
        assert all(pid != os.getpid() for _, pid in values), "it stayed in its process"
        self.out.extend(now - due for due, _ in values)

    def snapshot(self) -> None: ...


class AcrossOutput(FixedPartitionedSink):
    def __init__(self, out: list[int]):
        self.out = out

    def list_parts(self) -> list[str]:
        return ["part-0", "part-1"]

    def part_fn(self, item_key: str) -> int:
        return int(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> AcrossSink:
        return AcrossSink(self.out)


def latency_across(items: int, out: list[int]) -> None:
    """The source is where "part-0" is, the sink where "part-1" is: in the other process."""
    flow = Dataflow("bench")
    shares = Shares(lambda step_id: OneByOne(Pacer(items, 100_000)), lambda step_id: OneByOne(Pacer(0)))
    stream = op.input("inp", flow, shares)
    stream = op.map("pair", stream, lambda due: ("1", (due, os.getpid())))
    op.output("out", stream, AcrossOutput(out))
    run(flow)


def idle_halves(seconds: float, out: list[dict[str, float]]) -> None:
    """Each process blocks in a source, while they are connected."""
    flow = Dataflow("bench")
    stream = op.input("inp", flow, Shares(*[lambda step_id: OneByOne(Probe(seconds, out))] * 2))
    op.output("out", stream, TestingSink([]))
    run(flow)
