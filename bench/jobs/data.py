"""What the jobs work on: the user's functions, which every engine calls, and the inputs of the rows."""

import os
import pydoc_data.topics
import random
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

Pair = tuple[str, float]
Mean = tuple[float, int]

PART_NAMES = [f"part-{digit}" for digit in range(10)]
PART_BY_DIGIT = {name[-1]: i for i, name in enumerate(PART_NAMES)}
NAME_BY_DIGIT = {name[-1]: name for name in PART_NAMES}


# The user's functions.


def split(line: str) -> list[str]:
    return line.split()


def pair(word: str) -> tuple[str, int]:
    return word, 1


def zero() -> int:
    return 0


def count(state: int, one: int) -> tuple[int, int]:
    state += one
    return state, state


def no_mean() -> Mean:
    return 0.0, 0


def mean(state: Mean, value: float) -> tuple[Mean, float]:
    total, n = state
    total += value
    n += 1
    return (total, n), total / n


CHAIN = [lambda x: x + 1, lambda x: x + 1, lambda x: x + 1, lambda x: x + 1, lambda x: x + 1]
KEEP = lambda x: x > 0  # noqa: E731 - a lambda as in the chain: they shall cost the same
ADD, DOUBLE = lambda x: x + 1, lambda x: x * 2


def busy(number: int) -> int:
    """A function of some 5 us."""
    for _ in range(BUSY_LOOPS):
        pass
    return number


BUSY_LOOPS = 700


class Counter:
    """A source written in Python: 0, 1, 2, ... below `stop`."""

    def __init__(self, stop: int):
        self.position, self.stop = 0, stop

    def next(self) -> int:
        position = self.position
        if position == self.stop:
            raise StopIteration
        self.position = position + 1
        return position


class Pacer:
    """A source that sleeps until each of `stop` items is due. An item is the time when it was due, in ns."""

    def __init__(self, stop: int, interval_ns: int = 1_000_000):
        self.left, self.due = stop, time.perf_counter_ns()
        self.interval_ns = interval_ns

    def next(self) -> int:
        if self.left == 0:
            raise StopIteration
        self.left -= 1
        self.due += self.interval_ns
        wait = self.due - time.perf_counter_ns()
        if wait > 0:
            time.sleep(wait / 1e9)
        return self.due


class Probe:
    """A source that blocks for `seconds` and finds out what the other threads of the process do meanwhile."""

    def __init__(self, seconds: float, out: list[dict[str, float]]):
        self.seconds, self.out = seconds, out

    def next(self) -> None:
        time.sleep(0.3)  # until the others have found that there is nothing to do
        switches, cpu, start = other_switches(), time.process_time(), time.perf_counter()
        time.sleep(self.seconds)
        seconds = time.perf_counter() - start
        cpu = time.process_time() - cpu
        most = max((n - switches.get(thread, 0) for thread, n in other_switches().items()), default=0)
        self.out.append({"wakeups_per_s": most / seconds, "cpu_ms_per_s": cpu * 1e3 / seconds})
        raise StopIteration


def other_switches() -> dict[str, int]:
    """How often each other thread of this process went to sleep so far, by thread id."""
    found = {}
    for task in os.scandir("/proc/self/task"):
        if task.name != str(threading_id()):
            status = Path(task.path, "status").read_text()
            found[task.name] = int(status.split("\nvoluntary_ctxt_switches:")[1].split(None, 1)[0])
    return found


def threading_id() -> int:
    import threading

    return threading.get_native_id()


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def watched(pairs: list[Pair], out: list[int]) -> Iterator[Pair]:
    """The pairs; when all have been taken, notes how large the process is, the engine's state still alive."""
    yield from pairs
    out.append(rss_bytes())


# The inputs, by row.


def integers(items: int) -> list[int]:
    return list(range(items))


def bytes_of(items: int, size: int) -> list[bytes]:
    """One object, many times: who copies it finds it in the cache, as the plain pair of processes has it."""
    return [bytes(size)] * items


def pairs(items: int, keys: int) -> list[Pair]:
    """Values for keys drawn at random: `keys` of them, and each once before any comes twice."""
    rng = random.Random(items)
    names = [f"key-{i:07}" for i in range(keys)]
    rng.shuffle(names)
    drawn = names[:items] + [names[rng.randrange(keys)] for _ in range(items - keys)]
    return [(name, rng.random()) for name in drawn]


@contextmanager
def text_file(words: int) -> Iterator[tuple[Path, int]]:
    """A file of English text with that many words (to the next line), and how many. No line is blank.

    The text is the standard library's own documentation, over and over again.
    """
    lines = [line for line in Path(pydoc_data.topics.__file__).read_text().splitlines() if line.strip()]
    with TemporaryDirectory() as folder:
        path, written = Path(folder, "text.txt"), 0
        with path.open("w") as file:
            while written < words:
                for line in lines:
                    file.write(line + "\n")
                    written += len(line.split())
                    if written >= words:
                        break
        yield path, written
