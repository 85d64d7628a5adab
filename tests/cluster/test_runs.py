"""What comes out of a dataflow does not depend on how many processes run it."""

import collections

import pytest

WORDS = """
TEXTS = {
    "one": ["to be or not to be", "that is the question"],
    "two": ["whether 'tis nobler in the mind to suffer"] * 50,
    "three": [],
    "four": ["the slings and arrows", "of outrageous fortune"] * 20,
}

class Texts(PartitionedInput):
    def list_parts(self):
        return set(TEXTS)
    def build_part(self, for_part, resume_state):
        say("source", for_part, "in", proc_id)
        return TextSource(for_part)

class TextSource(StatefulSource):
    def __init__(self, part):
        self._lines = iter(TEXTS[part])
    def next(self):
        return next(self._lines)
    def snapshot(self):
        return None

class Counts(PartitionedOutput):
    def list_parts(self):
        return {"a to m", "n to z"}
    def assign_part(self, word):
        return "a to m" if word < "n" else "n to z"
    def build_part(self, for_part, resume_state):
        return CountsSink(for_part)

class CountsSink(StatefulSink):
    def __init__(self, part):
        self._part, self._counts = part, {}
    def write(self, item):
        word, count = item
        self._counts[word] = max(count, self._counts.get(word, 0))
    def snapshot(self):
        return None
    def close(self):
        for word, count in self._counts.items():
            say("count", self._part, word, count)

def count(total, word):
    return total + 1, (word, total + 1)

flow = Dataflow()
flow.input("texts", Texts())
flow.flat_map(str.split)
flow.map(lambda word: (word, word))
flow.stateful_map("count", int, count)
flow.output("counts", Counts())
"""


def expected_counts():
    namespace = {}
    exec(WORDS[: WORDS.index("class Texts")], namespace)
    return collections.Counter(word for lines in namespace["TEXTS"].values() for line in lines for word in line.split())


@pytest.mark.parametrize(("processes", "workers"), [(1, 2), (2, 1), (2, 2), (3, 1)])
def test_words_are_counted(cluster, processes, workers):
    running = cluster(WORDS, processes=processes, workers=workers)
    assert running.wait() == [0] * processes, str(running)
    lines = [line.split(" ", 1)[1] for process in running for line in process.stdout.lines if line.startswith("count")]
    assert sorted(lines) == sorted(
        f"{'a to m' if word < 'n' else 'n to z'} {word} {count}" for word, count in expected_counts().items()
    )
    built = [line.split()[1] for process in running for line in process.stdout.lines if line.startswith("source")]
    assert sorted(built) == ["four", "one", "three", "two"], "each partition has one owner"
    assert [process.stderr.text for process in running] == [""] * processes


INDICES = """
class Who(DynamicInput):
    def build(self, worker_index, worker_count):
        say("worker", worker_index, "of", worker_count, "in", proc_id, "on", threading.current_thread().name)
        return FromIterator(())

flow = Dataflow()
flow.input("who", Who())
flow.output("out", TestingOutput([]))
"""


def test_workers_are_counted_through_the_cluster(cluster):
    running = cluster(INDICES, processes=2, workers=2)
    assert running.wait() == [0, 0], str(running)
    lines = sorted(line for process in running for line in process.stdout.lines)
    assert lines == [f"worker {i} of 4 in {i // 2} on bytewax:worker-{i}" for i in range(4)]


BIG = """
SIZE = 3_000_000

flow = Dataflow()
flow.input("inp", EachWorker(lambda worker: ((str(i), bytes([i]) * SIZE) for i in range(20)) if worker == 0 else iter(())))
flow.stateful_map("size", int, lambda state, item: (state, (item == item[:1] * SIZE, threading.current_thread().name)))
flow.output("out", Say())
"""


def test_items_larger_than_a_frame_pass(cluster):
    running = cluster(BIG)
    assert running.wait() == [0, 0], str(running)
    lines = [line for process in running for line in process.stdout.lines]
    assert len(lines) == 20
    assert all("True" in line for line in lines)
    assert {line.rsplit("worker-", 1)[1][0] for line in lines} == {"0", "1"}, "some went to the other process"


BUILT_IN = """
import datetime as dt, decimal, uuid

ITEMS = [
    None, True, 7, -(2**70), 1.5, "text", "\\udc80", b"bytes", (1, (2,)), [1, [2]], {"a": {1: 2}}, {1, 2}, frozenset({3}),
    dt.datetime(2024, 1, 2, 3, 4, 5, 6), dt.datetime(2024, 1, 2, tzinfo=dt.timezone.utc), dt.date(2024, 1, 2),
    dt.timedelta(1, 2, 3), decimal.Decimal("1.20"), uuid.UUID(int=5), 3 + 4j, range(3), bytearray(b"x"),
]

def check(state, item):
    index, value = item
    want = ITEMS[index]
    return state, (type(value) is type(want) and value == want, index)

flow = Dataflow()
flow.input("inp", EachWorker(lambda worker: ((str(i) + "-" + str(copy), (i, item)) for copy in range(9) for i, item in enumerate(ITEMS)) if worker == 0 else iter(())))
flow.stateful_map("check", int, check)
flow.filter(lambda item: not item[1][0])
flow.output("out", Say())
"""


def test_equal_items_of_the_same_type_arrive(cluster):
    running = cluster(BUILT_IN)
    assert running.wait() == [0, 0], str(running)
    assert [process.stdout.text for process in running] == ["", ""]
