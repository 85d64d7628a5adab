"""The fluent API: ours, and upstream 0.16.2."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bytewax.connectors.files import FileInput
from bytewax.dataflow import Dataflow
from bytewax.inputs import PartitionedInput, StatefulSource
from bytewax.outputs import DynamicOutput, PartitionedOutput, StatefulSink, StatelessSink
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main

from .data import (
    ADD,
    CHAIN,
    DOUBLE,
    KEEP,
    NAME_BY_DIGIT,
    PART_NAMES,
    Counter,
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


def run(flow: Dataflow) -> None:
    if THREADS == 0:
        run_main(flow)
    else:
        cluster_main(flow, [], 0, worker_count_per_proc=THREADS)


def flow_of(source: Any) -> Dataflow:
    flow = Dataflow()
    flow.input("inp", source)
    return flow


class CounterSource(Counter, StatefulSource):
    def snapshot(self) -> None: ...


class PacerSource(Pacer, StatefulSource):
    def snapshot(self) -> None: ...


class ProbeSource(Probe, StatefulSource):
    def snapshot(self) -> None: ...


class NothingSource(StatefulSource):
    """Has nothing for that many seconds, and says so when asked."""

    def __init__(self, seconds: float):
        self.end = time.perf_counter() + seconds

    def next(self) -> None:
        if time.perf_counter() >= self.end:
            raise StopIteration

    def snapshot(self) -> None: ...


class OnePart(PartitionedInput):
    def __init__(self, make: Callable[..., StatefulSource], *args: Any):
        self.make, self.args = make, args

    def list_parts(self) -> set[str]:
        return {"one"}

    def build_part(self, for_part: str, resume_state: None) -> StatefulSource:
        return self.make(*self.args)


class CallSink(StatelessSink):
    def __init__(self, write: Callable[[Any], None]):
        self.call = write

    def write(self, item: Any) -> None:
        self.call(item)


class CallOutput(DynamicOutput):
    """A sink written in Python."""

    def __init__(self, write: Callable[[Any], None]):
        self.write = write

    def build(self, worker_index: int, worker_count: int) -> CallSink:
        return CallSink(self.write)


class PartSink(StatefulSink):
    def __init__(self, out: list[float]):
        self.out, self.values = out, []

    def write(self, value: float) -> None:
        self.values.append(value)

    def snapshot(self) -> None: ...

    def close(self) -> None:
        self.out.extend(self.values)


class Parts(PartitionedOutput):
    def __init__(self, out: list[float]):
        self.out = out

    def list_parts(self) -> set[str]:
        return {*PART_NAMES}

    def assign_part(self, item_key: str) -> str:
        return NAME_BY_DIGIT[item_key[-1]]

    def build_part(self, for_part: str, resume_state: None) -> PartSink:
        return PartSink(self.out)


def pass_through(data: list[int], out: list[int]) -> None:
    flow = flow_of(TestingInput(data))
    flow.output("out", TestingOutput(out))
    run(flow)


def chain(data: list[int], out: list[int]) -> None:
    flow = flow_of(TestingInput(data))
    for stage in CHAIN:
        flow.map(stage)
    flow.filter(KEEP)
    flow.output("out", TestingOutput(out))
    run(flow)


def word_count(path: Path, out: list[tuple[str, int]]) -> None:
    flow = flow_of(FileInput(path))
    flow.flat_map(split)
    flow.map(pair)
    flow.stateful_map("count", zero, count)
    flow.output("out", TestingOutput(out))
    run(flow)


def means(data: list[Pair], out: list[Pair]) -> None:
    flow = flow_of(TestingInput(data))
    flow.stateful_map("mean", no_mean, mean)
    flow.output("out", TestingOutput(out))
    run(flow)


def source(items: int, out: list[int]) -> None:
    flow = flow_of(OnePart(CounterSource, items))
    flow.map(ADD)
    flow.map(DOUBLE)
    flow.filter(KEEP)
    flow.output("out", TestingOutput(out))
    run(flow)


def partitioned(data: list[Pair], out: list[float]) -> None:
    flow = flow_of(TestingInput(data))
    flow.output("out", Parts(out))
    run(flow)


def latency(items: int, out: list[int]) -> None:
    flow = flow_of(OnePart(PacerSource, items))
    flow.output("out", CallOutput(lambda due: out.append(time.perf_counter_ns() - due)))
    run(flow)


def idle(seconds: float, out: list[dict[str, float]]) -> None:
    """One worker blocks in its source, the other one has no partition."""
    flow = flow_of(OnePart(ProbeSource, seconds, out))
    flow.output("out", TestingOutput([]))
    run(flow)


def empty(seconds: float, out: list[dict[str, float]]) -> None:
    """One worker whose source has nothing; it says so, and no time."""
    flow = flow_of(OnePart(NothingSource, seconds))
    flow.output("out", TestingOutput([]))
    cpu, start = time.process_time(), time.perf_counter()
    run(flow)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - start
    out.append({"cpu_ms_per_s": cpu * 1e3 / wall})


def memory(data: list[Pair], out: list[int]) -> None:
    out.append(rss_bytes())
    flow = flow_of(TestingInput(watched(data, out)))
    flow.stateful_map("mean", no_mean, mean)
    flow.output("out", CallOutput(lambda item: None))
    run(flow)
