"""The fluent API: ours, and upstream 0.16.2."""

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bytewax.connectors.files import FileInput
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicInput, PartitionedInput, StatefulSource, StatelessSource
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


def run(flow: Dataflow) -> None:
    if PLACE:
        cluster_main(flow, *PLACE, worker_count_per_proc=max(1, THREADS))
    elif THREADS == 0:
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


class Shares(PartitionedInput):
    """One source for each half of the input: in two processes of one worker, each has one of them."""

    def __init__(self, *sources: Callable[[], StatefulSource]):
        self.sources = dict(zip(("part-0", "part-1"), sources, strict=True))

    def list_parts(self) -> set[str]:
        return {*self.sources}

    def build_part(self, for_part: str, resume_state: None) -> StatefulSource:
        return self.sources[for_part]()


def source_of(source: PartitionedInput) -> Callable[[], StatefulSource]:
    """What builds the only partition of an input."""
    (part,) = source.list_parts()
    return lambda: source.build_part(part, None)


def halves(data: list[Any]) -> Shares:
    return Shares(*(source_of(TestingInput(data[i::2])) for i in range(2)))


class EachWorker(DynamicInput):
    def __init__(self, next_item: Callable[[], Any]):
        self.next_item = next_item

    def build(self, worker_index: int, worker_count: int) -> StatelessSource:
        return CallSource(self.next_item)


class CallSource(StatelessSource):
    def __init__(self, next_item: Callable[[], Any]):
        self.next_item = next_item

    def next(self) -> Any:
        return self.next_item()


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


# Two processes, a source in each.


def word_count_halves(paths: list[Path], out: list[tuple[str, int]]) -> None:
    flow = flow_of(Shares(*(source_of(FileInput(path)) for path in paths)))
    flow.flat_map(split)
    flow.map(pair)
    flow.stateful_map("count", zero, count)
    flow.output("out", TestingOutput(out))
    run(flow)


def means_halves(data: list[Pair], out: list[Pair]) -> None:
    flow = flow_of(halves(data))
    flow.stateful_map("mean", no_mean, mean)
    flow.output("out", TestingOutput(out))
    run(flow)


def busy_halves(data: list[int], out: list[int]) -> None:
    flow = flow_of(halves(data))
    flow.map(busy)
    flow.output("out", TestingOutput(out))
    run(flow)


def deal(data: list[Any], out: list[Any]) -> None:
    """One source, whose items the engine deals out to all workers in turn."""
    flow = flow_of(TestingInput(data))
    flow.output("out", TestingOutput(out))
    run(flow)


def deal_away(data: list[Any], out: list[Any]) -> None:
    """The same, and nobody keeps them."""
    flow = flow_of(TestingInput(data))
    flow.output("out", TestingOutput(deque(maxlen=1)))
    run(flow)


class AcrossSink(StatefulSink):
    """Notes how late each item is that another process has sent."""

    def __init__(self, out: list[int]):
        self.out = out

    def write(self, value: tuple[int, int]) -> None:
        due, pid = value
        assert pid != os.getpid(), "it stayed in its process"
        self.out.append(time.perf_counter_ns() - due)

    def snapshot(self) -> None: ...


class AcrossOutput(PartitionedOutput):
    def __init__(self, out: list[int]):
        self.out = out

    def list_parts(self) -> set[str]:
        return {"part-0", "part-1"}

    def assign_part(self, item_key: str) -> str:
        return item_key

    def build_part(self, for_part: str, resume_state: None) -> AcrossSink:
        return AcrossSink(self.out)


def latency_across(items: int, out: list[int]) -> None:
    """The source is where "part-0" is, the sink where "part-1" is: in the other process."""
    flow = flow_of(Shares(lambda: PacerSource(items, 100_000), lambda: PacerSource(0)))
    flow.map(lambda due: ("part-1", (due, os.getpid())))
    flow.output("out", AcrossOutput(out))
    run(flow)


def idle_halves(seconds: float, out: list[dict[str, float]]) -> None:
    """Each process blocks in a source, while they are connected."""
    flow = flow_of(Shares(*[lambda: ProbeSource(seconds, out)] * 2))
    flow.output("out", TestingOutput([]))
    run(flow)


def first_poll(items: int, out: list[int]) -> None:
    """Notes when each worker is asked for its first item."""

    def note() -> None:
        out.append(time.perf_counter_ns())
        raise StopIteration

    flow = flow_of(EachWorker(note))
    flow.output("out", TestingOutput([]))
    run(flow)
