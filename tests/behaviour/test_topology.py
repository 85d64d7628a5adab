"""Which worker does what: owners of partitions and keys, and how items are dealt."""

import threading

import pytest

from bytewax.dataflow import Dataflow
from bytewax.inputs import EmptySource
from bytewax.testing import TestingInput, TestingOutput, cluster_main

# Worker that owns a key or partition, by their number: the same in every process, run and release, since
# state is found again by it.
KEYS = [*[f"key-{number}" for number in range(12)], "", "\u6f22"]
OWNERS = {1: "00000000000000", 2: "10001011001100", 3: "10002122001100", 4: "20003133102201"}


def this_worker():
    return int(threading.current_thread().name.rpartition("-")[2])


def run(flow, worker_count):
    cluster_main(flow, [], 0, worker_count_per_proc=worker_count)


@pytest.mark.parametrize("worker_count", [1, 2, 3, 4])
def test_a_partition_is_built_by_the_owner_of_its_name(parts, list_source, worker_count):
    built_by = {}

    def source_of(name):
        def make():
            built_by[name] = this_worker()
            return list_source([])

        return make

    flow = Dataflow()
    flow.input("inp", parts({name: source_of(name) for name in KEYS}))
    flow.output("out", TestingOutput([]))
    run(flow, worker_count)
    assert built_by == dict(zip(KEYS, map(int, OWNERS[worker_count]), strict=True))


@pytest.mark.parametrize("worker_count", [1, 2, 3, 4])
def test_a_key_is_held_by_its_owner(worker_count):
    held_by = {}

    def mapper(state, key):
        held_by.setdefault(key, []).append(this_worker())
        return state, key

    flow = Dataflow()
    flow.input("inp", TestingInput([(key, key) for _ in range(3) for key in KEYS]))
    flow.stateful_map("held", lambda: 0, mapper)
    flow.output("out", TestingOutput([]))
    run(flow, worker_count)
    assert held_by == {key: [int(who)] * 3 for key, who in zip(KEYS, OWNERS[worker_count], strict=True)}


@pytest.mark.parametrize("worker_count", [2, 3, 4])
def test_one_partition_is_dealt_to_all_workers_in_turn_beginning_with_worker_1(worker_count):
    seen_by = {}
    flow = Dataflow()
    flow.input("inp", TestingInput(range(20)))
    flow.inspect(lambda item: seen_by.update({item: this_worker()}))
    flow.output("out", TestingOutput([]))
    run(flow, worker_count)
    assert seen_by == {item: (item + 1) % worker_count for item in range(20)}


def test_items_stay_where_there_is_a_partition_for_each_worker(parts, list_source):
    seen_by = {}
    flow = Dataflow()
    flow.input("inp", parts({name: list_source([name]) for name in KEYS}))
    flow.inspect(lambda name: seen_by.update({name: this_worker()}))
    flow.output("out", TestingOutput([]))
    run(flow, 2)
    assert seen_by == dict(zip(KEYS, map(int, OWNERS[2]), strict=True))


@pytest.mark.parametrize(("worker_count", "part_count"), [(2, 4), (5, 20), (3, 2), (2, 3), (4, 7)])
def test_partitions_that_are_owned_unevenly_do_not_hang(parts, list_source, worker_count, part_count):
    out, flow = [], Dataflow()
    flow.input("inp", parts({str(number): list_source(range(10)) for number in range(part_count)}))
    flow.output("out", TestingOutput(out))
    run(flow, worker_count)
    assert sorted(out) == sorted(list(range(10)) * part_count)


def test_items_of_a_dynamic_input_stay(every_worker, list_source):
    seen_by, flow = {}, Dataflow()
    flow.input("inp", every_worker(lambda index, count: list_source(range(10)) if index == 0 else EmptySource()))
    flow.inspect(lambda item: seen_by.update({item: this_worker()}))
    flow.output("out", TestingOutput([]))
    run(flow, 2)
    assert seen_by == dict.fromkeys(range(10), 0)


def test_threads_pass_objects_on_as_they_are():
    items = [("key", threading.Lock()) for _ in range(10)]
    out, flow = [], Dataflow()
    flow.input("inp", TestingInput(items))
    flow.stateful_map("s", lambda: 0, lambda state, lock: (state, lock))
    flow.output("out", TestingOutput(out))
    run(flow, 3)
    assert {id(lock) for _, lock in out} == {id(lock) for _, lock in items}


def test_workers_run_in_threads_of_their_own_by_name():
    names, flow = set(), Dataflow()
    flow.input("inp", TestingInput(range(10)))
    flow.inspect(lambda item: names.add(threading.current_thread().name))
    flow.output("out", TestingOutput([]))
    run(flow, 2)
    assert names == {"bytewax:worker-0", "bytewax:worker-1"}


def test_run_main_runs_in_the_calling_thread(collect):
    seen = []
    collect([1], lambda flow: flow.inspect(lambda item: seen.append(threading.current_thread())))
    assert seen == [threading.current_thread()]
