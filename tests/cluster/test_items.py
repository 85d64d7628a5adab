"""What items can do to a cluster: those that can't travel, those that can't arrive, very large ones, and slow user code."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from facts import HASTY, PATIENT, SOON_S, ends_with_an_error, resident_bytes, wait_until

# Items of worker 0 go to the worker of process 1, by way of a step named "relay".
ACROSS = """
def items(worker):
    return [(key, ITEM) for key in KEYS] if worker == 0 else []

KEYS = [f"key-{i}" for i in range(20)]  # some of them live on the other worker
flow = Dataflow()
flow.input("inp", EachWorker(items))
flow.stateful_map("relay", lambda: None, lambda state, item: (state, item))
flow.map(lambda item: f"got {type(item[1]).__name__}")
flow.output("out", Say())
"""

UNPICKLABLE = {
    "a lock": ("ITEM = threading.Lock()", "lock"),
    "a generator": ("ITEM = (i for i in range(3))", "generator"),
    "its own error": (
        """
class Shy:
    def __reduce__(self):
        raise ValueError("I stay here")
ITEM = Shy()
""",
        "Shy",
    ),
    "deep inside": ("ITEM = {'a': [1, (2, threading.Lock())]}", "lock"),
}


@pytest.mark.parametrize("name", UNPICKLABLE)
def test_an_item_that_cannot_be_pickled_is_named_on_both_sides(cluster, name):
    text, kind = UNPICKLABLE[name]
    each = cluster(text + ACROSS, env=PATIENT)
    for process in each:
        ends_with_an_error(process, kind, "relay")


UNLOADABLE = {
    "its own error": (
        """
def refuse():
    raise ValueError("I won't be made")
class Mine:
    def __reduce__(self):
        return refuse, ()
ITEM = Mine()
""",
        "I won't be made",
    ),
    "a class that is not there": (
        """
import types
elsewhere = types.ModuleType("elsewhere")
if proc_id == 0:
    sys.modules["elsewhere"] = elsewhere
class Mine: ...
Mine.__module__ = "elsewhere"
elsewhere.Mine = Mine
ITEM = Mine()
""",
        "elsewhere",
    ),
}


@pytest.mark.parametrize("name", UNLOADABLE)
def test_an_item_that_cannot_be_unpickled_is_told_on_both_sides(cluster, name):
    text, said = UNLOADABLE[name]
    each = cluster(text + ACROSS, env=PATIENT)
    for process in each:
        ends_with_an_error(process, said, "relay")


def test_an_item_that_stays_on_its_process_need_not_be_pickled(cluster):
    text = "ITEM = threading.Lock()" + ACROSS.replace(
        'flow.stateful_map("relay", lambda: None, lambda state, item: (state, item))', ""
    )
    each = cluster(text)
    assert each.wait() == [0, 0], each
    assert each[0].stdout.lines == ["got lock"] * 20


LARGE = """
ITEM = bytes(range(250)) * (100_000_000 // 250)
KEYS = [f"key-{i}" for i in range(4)]
flow = Dataflow()
flow.input("inp", EachWorker(lambda worker: [(key, ITEM) for key in KEYS] if worker == 0 else []))
flow.stateful_map("relay", lambda: None, lambda state, item: (state, item))
flow.map(lambda item: f"{item[0]} {len(item[1])} {item[1] == ITEM}")
flow.output("out", Say())
"""


def test_items_of_100_mb_arrive_and_do_not_keep_peers_from_being_heard(cluster):
    each = cluster(LARGE, env=HASTY)
    assert each.wait(60) == [0, 0], each
    lines = [line for process in each for line in process.stdout.lines]
    assert len(lines) == 4
    assert all(line.endswith(" 100000000 True") for line in lines)
    assert each[1].stdout.lines, "none went across"


# Process 1 keeps one call of the user's code busy, the interpreter's lock held, while process 0 sends what it can.
BLOCKED = """
import ctypes

def once(item, seen=[]):
    if proc_id == 1 and not seen:
        seen.append(item)
        say("blocked")
        ctypes.PyDLL(None).sleep(SECONDS)  # keeps the interpreter's lock
        say("goes on")
    return item

def items(worker):
    for i in range(300_000):
        yield f"key-{i % 50}", bytes(1000)

flow = Dataflow()
flow.input("inp", EachWorker(lambda worker: items(worker) if worker == 0 else []))
flow.map(lambda item: item)
flow.stateful_map("relay", lambda: None, lambda state, item: (state, item))
flow.map(once)
flow.reduce("count", lambda a, b: b, lambda last: False)
flow.output("out", Say())
"""


def check_blocked(cluster, seconds, env):
    each = cluster(BLOCKED.replace("SECONDS", str(seconds)), env=env)
    each[1].stdout.wait_for("blocked")
    most = {}

    def is_over():
        for index, process in each.processes.items():
            most[index] = max(most.get(index, 0), resident_bytes(process))
        return "goes on" in each[1].stdout.text

    wait_until(is_over, "the user's code returns", timeout=seconds + SOON_S)
    assert each.wait(60) == [0, 0], each
    assert max(most.values()) < 100_000_000, most  # of 300 MB of items the windows let 16 MiB through


def test_a_call_of_user_code_longer_than_the_timeout_is_no_failure(cluster):
    check_blocked(cluster, 5, {"BYTEWAX_CLUSTER_TIMEOUT": "1.5"})


@pytest.mark.slow
def test_a_call_of_user_code_of_15_seconds_is_no_failure(cluster):
    check_blocked(cluster, 15, {})


FAILS = """
def check(item):
    if proc_id == 1:
        raise ValueError("the number is " + str(item[1]))
    return item
""" + ACROSS.replace('flow.map(lambda item: f"got', 'flow.map(check)\nflow.map(lambda item: f"got')


def test_a_failure_in_user_code_ends_all_and_says_where_and_why(cluster):
    each = cluster("ITEM = 42" + FAILS, processes=3, workers=2, env=PATIENT)
    for index, process in each.processes.items():
        said = "worker" if index == 1 else "process 1"
        ends_with_an_error(process, "ValueError: the number is 42", said)
