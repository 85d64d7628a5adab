"""The rows of the benchmark: which job, by which engines, how large, and what we want of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

Sample = dict[str, float]  # metric -> value, of one measurement
Samples = dict[str, list[Sample]]  # engine -> by repetition; an engine that was skipped is missing


@dataclass(frozen=True)
class Engine:
    module: str  # of jobs/; "c" or "timely": a program of its own
    env: str  # whose interpreter
    threads: int = 0  # worker threads; 0: one worker in the calling thread
    processes: int = 0  # 0: this one; else so many, connected through loopback, with so many threads each


OURS, TWO_THREADS = "bytewax", "bytewax on two threads"
OLD, OLD_TWO = "0.16.2", "0.16.2 on two threads"
NEW, NEW_TWO = "0.21.1", "0.21.1 on two threads"
OURS_TWO, OLD_PAIR, NEW_PAIR = "bytewax on two processes", "0.16.2 on two processes", "0.21.1 on two processes"
EIGHT, PAIR, TIMELY_PAIR = "bytewax on 8 processes of 2 workers", "C pair", "timely on two processes"
LOOP, IDEAL, BARE, C_API, TIMELY = "loop", "ideal", "bare interpreter", "C API", "timely"

ENGINES = {
    OURS: Engine("fluent", "bytewax"),
    TWO_THREADS: Engine("fluent", "bytewax", 2),
    OLD: Engine("fluent", "0.16.2"),
    OLD_TWO: Engine("fluent", "0.16.2", 2),
    NEW: Engine("operators", "0.21.1"),
    NEW_TWO: Engine("operators", "0.21.1", 2),
    LOOP: Engine("loop", "bytewax"),
    IDEAL: Engine("ideal", "bytewax"),
    BARE: Engine("bare", "bytewax"),
    C_API: Engine("c", "c", 2),
    TIMELY: Engine("timely", "timely", 2),
    OURS_TWO: Engine("fluent", "bytewax", processes=2),
    OLD_PAIR: Engine("fluent", "0.16.2", processes=2),
    NEW_PAIR: Engine("operators", "0.21.1", processes=2),
    EIGHT: Engine("fluent", "bytewax", 2, processes=8),
    PAIR: Engine("pair", "c pair", processes=2),
    TIMELY_PAIR: Engine("timely", "timely", 1, processes=2),
}


@dataclass(frozen=True)
class Spread:
    """A median and what is around it."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True)
class Target:
    """What we want of a figure, which is made of the samples of one turn: the median of all turns counts."""

    text: str
    engines: tuple[str, ...]  # whose samples it is made of
    figure: Callable[..., float]
    at_least: float | None = None
    at_most: float | None = None
    digits: int = 2
    is_wish: bool = False  # welcome, not demanded

    def measure(self, samples: Samples) -> Spread | None:
        """None: one of the engines was skipped."""
        if any(engine not in samples for engine in self.engines):
            return None
        together = zip(*(samples[engine] for engine in self.engines), strict=False)  # the slow have fewer
        return Spread.of([self.figure(*each) for each in together])

    def is_met_by(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True)
class Row:
    name: str
    job: str  # a function of each engine's module
    engines: tuple[str, ...]
    items: float  # or seconds, for the jobs that wait
    quick: float
    few: dict[str, float] = field(default_factory=dict)  # items, for engines that take long
    keys: int = 0
    item_bytes: int = 0  # of items that are bytes
    unit: str = "ns per item"
    metrics: tuple[str, ...] = ("cpu", "wall")
    digits: int = 0
    repetitions: int = 7
    slow_repetitions: int = 3  # of upstream
    targets: tuple[Target, ...] = field(default=())

    def size(self, engine: str, *, quick: bool) -> float:
        return self.quick if quick else self.few.get(engine, self.items)


UPSTREAM = {OLD, OLD_TWO, OLD_PAIR, NEW, NEW_TWO, NEW_PAIR}
MILLION = 1_000_000


def share_of_ideal() -> Target:
    return Target("share of ideal's speed", (OURS, IDEAL), lambda our, ideal: ideal["cpu"] / our["cpu"], 0.8)


def over_loop() -> Target:
    figure = lambda our, loop: loop["cpu"] / our["cpu"]  # noqa: E731
    return Target("speed over the loop's", (OURS, LOOP), figure, 1.0, is_wish=True)


def kept_by_threads() -> Target:
    figure = lambda one, two: one["wall"] / two["wall"]  # noqa: E731
    return Target("speed in wall time that two threads keep of one", (OURS, TWO_THREADS), figure, 0.95)


def over_timely(clock: str, metric: str) -> Target:
    figure = lambda our, other: our[metric] / other[metric]  # noqa: E731
    return Target(f"time over timely's, {clock}", (C_API, TIMELY), figure, at_most=2)


def means(keys: int, **sizes: Any) -> Row:
    return Row(
        f"keyed running mean, {keys:,} keys",
        "means",
        (OURS, IDEAL, LOOP, TWO_THREADS, OLD, NEW),
        keys=min(keys, MILLION),
        quick=20_000,
        targets=(share_of_ideal(), over_loop(), kept_by_threads()),
        **sizes,
    )


def cost_of_processes() -> tuple[Target, Target]:
    """What two processes cost over one worker, in CPU time of both."""
    text, engines = "CPU time of two processes over one worker's", (OURS, OURS_TWO)
    figure = lambda one, two: two["cpu"] / one["cpu"]  # noqa: E731
    return Target(text, engines, figure, at_most=1.4), Target(text, engines, figure, at_most=1.25, is_wish=True)


def gain_of_processes(least: float) -> Target:
    figure = lambda one, two: one["wall"] / two["wall"]  # noqa: E731
    return Target("speed of two processes over one's, wall", (OURS, OURS_TWO), figure, at_least=least)


def gain_over_upstream(least: float | None = None, wish: float | None = None) -> tuple[Target, ...]:
    figure = lambda our, new: new["cpu"] / our["cpu"]  # noqa: E731
    text, engines = "times as fast as 0.21.1, CPU", (OURS_TWO, NEW_PAIR)
    wanted = [(least, False), (wish, True)]
    return tuple(
        Target(text, engines, figure, at_least=value, is_wish=is_wish, digits=0)
        for value, is_wish in wanted
        if value is not None
    )


def cpu_at_most(most: float) -> Target:
    return Target("CPU ns per item", (OURS_TWO,), lambda our: our["cpu"], at_most=most, digits=0)


# A cluster of two processes of one worker each, with a secret, as `python -m bytewax.run -p 2` has it.
PAIR_ROWS = (
    Row(
        "two processes: partitioned output",
        "partitioned",
        (OURS_TWO, OLD_PAIR, NEW_PAIR),
        items=MILLION,
        few={OLD_PAIR: 50_000, NEW_PAIR: 200_000},
        quick=5_000,
        keys=10_000,
        targets=(cpu_at_most(380), *gain_over_upstream(40, 90)),
    ),
    Row(
        "two processes: word count, a source in each, per word",
        "word_count_halves",
        (OURS, OURS_TWO, OLD_PAIR, NEW_PAIR, TIMELY_PAIR),
        items=2 * MILLION,
        few={OLD_PAIR: 50_000, NEW_PAIR: 500_000},
        quick=20_000,
        targets=(*cost_of_processes(), gain_of_processes(1.3), *gain_over_upstream(wish=5)),
    ),
    Row(
        "two processes: keyed running mean, 10,000 keys, a source in each",
        "means_halves",
        (OURS, OURS_TWO, OLD_PAIR, NEW_PAIR),
        items=2 * MILLION,
        few={OLD_PAIR: 50_000, NEW_PAIR: 500_000},
        quick=20_000,
        keys=10_000,
        targets=(*cost_of_processes(), gain_of_processes(1.3), *gain_over_upstream(wish=10)),
    ),
    Row(
        "two processes: a Python function of 5 us, a source in each",
        "busy_halves",
        (OURS, OURS_TWO, NEW_PAIR),
        items=400_000,
        few={NEW_PAIR: 200_000},
        quick=1_000,
        repetitions=5,
        targets=(gain_of_processes(1.7),),
    ),
    Row(
        "two processes: numbers dealt out in turn",
        "deal",
        (OURS_TWO, OLD_PAIR, NEW_PAIR),
        items=2 * MILLION,
        few={OLD_PAIR: 50_000, NEW_PAIR: 500_000},
        quick=20_000,
        repetitions=5,
        targets=(*gain_over_upstream(wish=15),),
    ),
    Row(
        "two processes: bytes of 64 dealt out in turn",
        "deal",
        (OURS_TWO, NEW_PAIR),
        items=2 * MILLION,
        few={NEW_PAIR: 500_000},
        quick=20_000,
        item_bytes=64,
        repetitions=5,
        targets=(cpu_at_most(300),),
    ),
    Row(
        "two processes: bytes of 4 KiB dealt out in turn (C pair: moved, every second one)",
        "deal_away",
        (OURS_TWO, NEW_PAIR, PAIR),
        items=500_000,
        few={NEW_PAIR: 100_000},
        quick=5_000,
        item_bytes=4096,
        repetitions=5,
        targets=(
            Target(
                "share of the C pair's speed, wall",
                (OURS_TWO, PAIR),
                lambda our, pair: pair["wall"] / our["wall"],
                at_least=0.4,
            ),
            Target(
                "share of the C pair's speed, CPU",
                (OURS_TWO, PAIR),
                lambda our, pair: pair["cpu"] / our["cpu"],
                at_least=0.4,
                is_wish=True,
            ),
        ),
    ),
    Row(
        "8 processes of 2 workers: keyed running mean, 10,000 keys",
        "means_halves",
        (OURS, EIGHT),
        items=MILLION,
        quick=5_000,
        keys=10_000,
        repetitions=3,
    ),
    Row(
        "8 processes of 2 workers: from the start of the last process to the first poll of every source",
        "first_poll",
        (EIGHT,),
        items=1,
        quick=1,
        unit="ms",
        metrics=("setup",),
        repetitions=5,
        targets=(Target("ms", (EIGHT,), lambda our: our["setup"], at_most=1000, digits=0),),
    ),
    Row(
        "two processes: latency of an exchange at 10,000 items/s",
        "latency_across",
        (OURS_TWO, NEW_PAIR),
        items=30_000,
        few={NEW_PAIR: 10_000},
        quick=200,
        unit="us from the time when the item is due",
        metrics=("p50", "p99"),
        digits=0,
        repetitions=5,
        slow_repetitions=2,
        targets=(
            Target("p50, us", (OURS_TWO,), lambda our: our["p50"] / 1e3, at_most=300, digits=0),
            Target("p99, us", (OURS_TWO,), lambda our: our["p99"] / 1e3, at_most=3000, digits=0),
        ),
    ),
    Row(
        "two processes: idle, connected",
        "idle_halves",
        (OURS_TWO, NEW_PAIR),
        items=5,
        quick=0.3,
        unit="CPU ms/s of both, wake-ups/s of the busiest thread of each but the source's",
        metrics=("cpu_ms_per_s", "wakeups_per_s"),
        digits=2,
        repetitions=2,
        slow_repetitions=1,
        targets=(Target("CPU, %", (OURS_TWO,), lambda our: our["cpu_ms_per_s"] / 10, at_most=0.05, digits=3),),
    ),
)

ROWS = (
    Row(
        "pass-through, list to list",
        "pass_through",
        (OURS, LOOP, OLD, NEW),
        items=3 * MILLION,
        few={OLD: 200_000},
        quick=20_000,
        digits=1,
        targets=(Target("CPU ns per item", (OURS,), lambda our: our["cpu"], at_most=15, digits=1),),
    ),
    Row(
        "five maps and a filter",
        "chain",
        (OURS, IDEAL, LOOP, OLD, NEW),
        items=MILLION,
        few={OLD: 200_000},
        quick=20_000,
        targets=(share_of_ideal(), over_loop()),
    ),
    Row(
        "word count of a text, per word",
        "word_count",
        (OURS, IDEAL, LOOP, TWO_THREADS, OLD, NEW),
        items=MILLION,
        few={OLD: 200_000},
        quick=20_000,
        targets=(share_of_ideal(), over_loop(), kept_by_threads()),
    ),
    means(10, items=MILLION, few={OLD: 200_000}),
    means(10_000, items=MILLION, few={OLD: 200_000}),
    means(MILLION, items=2 * MILLION, repetitions=5, slow_repetitions=2),
    Row(
        "source with a Python `next`, two maps and a filter",
        "source",
        (OURS, IDEAL, LOOP, OLD, NEW),
        items=MILLION,
        few={OLD: 100_000, NEW: 100_000},
        quick=5_000,
        targets=(Target("CPU ns per item", (OURS,), lambda our: our["cpu"], at_most=600, digits=0),),
    ),
    Row(
        "partitioned output by two threads",
        "partitioned",
        (TWO_THREADS, LOOP, OLD_TWO, NEW_TWO),
        items=MILLION,
        few={OLD_TWO: 50_000, NEW_TWO: 200_000},
        quick=5_000,
        keys=10_000,
        targets=(
            Target("CPU ns per item", (TWO_THREADS,), lambda our: our["cpu"], at_most=210, digits=0),
            Target(
                "times as fast as 0.21.1, CPU",
                (TWO_THREADS, NEW_TWO),
                lambda our, new: new["cpu"] / our["cpu"],
                at_least=60,
                is_wish=True,
                digits=0,
            ),
        ),
    ),
    Row(
        "words exchanged between two workers and counted, in C",
        "exchange",
        (C_API, TIMELY),
        items=4 * MILLION,
        quick=100_000,
        targets=(
            over_timely("CPU", "cpu"),
            over_timely("wall", "wall"),
        ),
    ),
    Row(
        "interpreter, import and a flow of three items",
        "start",
        (BARE, OURS, OLD, NEW),
        items=1,
        quick=1,
        unit="ms",
        digits=1,
        repetitions=20,
        slow_repetitions=20,
        targets=(
            Target(
                "CPU ms over a bare interpreter",
                (OURS, BARE),
                lambda our, bare: our["cpu"] - bare["cpu"],
                at_most=15,
                digits=1,
            ),
        ),
    ),
    Row(
        "memory with 1,000,000 keys",
        "memory",
        (OURS, LOOP, IDEAL, OLD, NEW),
        items=MILLION,
        quick=5_000,
        keys=MILLION,
        unit="bytes per key; loop: the user's objects alone; ideal: with its dict",
        metrics=("bytes",),
        repetitions=3,
        slow_repetitions=1,
        targets=(
            Target(
                "bytes per key over the user's objects",
                (OURS, LOOP),
                lambda our, loop: our["bytes"] - loop["bytes"],
                at_most=150,
                digits=0,
            ),
        ),
    ),
    Row(
        "latency at 1,000 items/s, a source that sleeps in `next`",
        "latency",
        (OURS, LOOP, OLD, NEW),
        items=3_000,
        quick=100,
        unit="us from the time when the item is due",
        metrics=("p50", "p99"),
        digits=1,
        repetitions=5,
        slow_repetitions=2,
        targets=(Target("p50 over the loop's", (OURS, LOOP), lambda our, loop: our["p50"] / loop["p50"], at_most=1.1),),
    ),
    Row(
        "idle: a worker without a partition beside one whose source blocks",
        "idle",
        (TWO_THREADS, OLD_TWO, NEW_TWO),
        items=5,
        quick=0.3,
        unit="wake-ups/s of the busiest thread but the source's; CPU ms/s of the process",
        metrics=("wakeups_per_s", "cpu_ms_per_s"),
        digits=2,
        repetitions=2,
        slow_repetitions=1,
        targets=(
            Target("wake-ups/s", (TWO_THREADS,), lambda our: our["wakeups_per_s"], at_most=2, digits=1),
            Target("CPU ms in 5 s", (TWO_THREADS,), lambda our: our["cpu_ms_per_s"] * 5, at_most=2.5),
        ),
    ),
    Row(
        "idle: a C source that named its time",
        "c_idle",
        (C_API,),
        items=5,
        quick=0.3,
        unit="wake-ups/s of the worker; CPU ms/s of the process",
        metrics=("wakeups_per_s", "cpu_ms_per_s"),
        digits=2,
        repetitions=2,
        targets=(
            Target("wake-ups/s", (C_API,), lambda our: our["wakeups_per_s"], at_most=2, digits=1),
            Target("CPU ms in 5 s", (C_API,), lambda our: our["cpu_ms_per_s"] * 5, at_most=2.5),
        ),
    ),
    Row(
        "idle: a source that has nothing, and names no time",
        "empty",
        (OURS, OLD),
        items=5,
        quick=0.3,
        unit="CPU ms/s of the process",
        metrics=("cpu_ms_per_s",),
        digits=2,
        repetitions=2,
        slow_repetitions=1,
        targets=(Target("CPU ms in 5 s", (OURS,), lambda our: our["cpu_ms_per_s"] * 5, at_most=50, digits=1),),
    ),
    *PAIR_ROWS,
)
