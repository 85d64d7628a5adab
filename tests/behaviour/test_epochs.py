"""Epochs: how they are counted, and that they change nothing else."""

from datetime import timedelta

import pytest

from bytewax.dataflow import Dataflow
from bytewax.execution import EpochConfig, PeriodicEpochConfig, TestingEpochConfig
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main

EVERY_POLL = timedelta(0)


@pytest.fixture
def epochs_of():
    """Return a function that runs an input, and returns its items with their epochs."""

    def epochs_of(source, run=run_main, **kwargs):
        seen, flow = [], Dataflow()
        flow.input("inp", source)
        flow.inspect_epoch(lambda epoch, item: seen.append((epoch, item)))
        flow.output("out", TestingOutput([]))
        run(flow, **kwargs)
        return seen

    return epochs_of


def test_a_short_run_is_all_in_epoch_0(epochs_of, entry_point):
    assert sorted(epochs_of(TestingInput("abc"), run=entry_point)) == [(0, "a"), (0, "b"), (0, "c")]


def test_with_an_interval_of_zero_each_item_has_its_epoch(epochs_of):
    assert epochs_of(TestingInput("abc"), epoch_interval=EVERY_POLL) == [(0, "a"), (1, "b"), (2, "c")]


def test_with_an_interval_of_zero_threads_lose_nothing(epochs_of, entry_point):
    seen = epochs_of(TestingInput(range(200)), run=entry_point, epoch_interval=EVERY_POLL)
    assert sorted(item for _, item in seen) == list(range(200))
    by_item = sorted(seen, key=lambda pair: pair[1])
    assert [epoch for epoch, _ in by_item] == sorted(epoch for epoch, _ in seen)


def test_a_poll_that_gives_none_takes_an_epoch(epochs_of, parts, list_source):
    seen = epochs_of(parts({"a": list_source(["a", None, None, "b"])}), epoch_interval=EVERY_POLL)
    assert seen == [(0, "a"), (3, "b")]


def test_partitions_share_the_epoch_of_a_round(epochs_of, parts, list_source):
    source = parts({name: list_source([f"{name}{i}" for i in range(3)]) for name in "ab"})
    seen = epochs_of(source, epoch_interval=EVERY_POLL)
    assert sorted(seen) == [(epoch, f"{name}{epoch}") for epoch in range(3) for name in "ab"]


def test_epochs_go_on_while_time_passes(epochs_of):
    """The items take longer than the epochs, however slow this machine is."""
    from time import sleep

    def items():
        for item in range(5):
            sleep(0.02)
            yield item

    epochs = [epoch for epoch, _ in epochs_of(TestingInput(items()), epoch_interval=timedelta(milliseconds=5))]
    assert epochs[0] == 0
    assert epochs == sorted(epochs)
    assert len(set(epochs)) >= 3  # each at most two items: those polled as it begins and as it ends


def test_state_goes_on_over_epochs(collect, entry_point):
    def add_step(flow):
        flow.stateful_map("count", int, lambda count, value: (count + 1, count + 1))

    out = collect([("a", 0)] * 20, add_step, run=entry_point, epoch_interval=EVERY_POLL)
    assert out == [("a", count) for count in range(1, 21)]


def test_a_later_epoch_waits_for_an_earlier_one_at_a_keyed_step():
    """Worker 0 is slow in its first epoch; what worker 1 reads later must not overtake it there."""
    flow, order = Dataflow(), []
    flow.input("inp", TestingInput([("k", number) for number in range(50)]))
    flow.inspect_epoch(lambda epoch, item: None)
    flow.stateful_map("order", list, lambda seen, number: (seen, order.append(number)))
    flow.output("out", TestingOutput([]))
    cluster_main(flow, [], 0, worker_count_per_proc=3, epoch_interval=EVERY_POLL)
    assert order == list(range(50))  # an epoch each, so the order of epochs is that of items


def test_an_item_is_through_before_the_snapshot_of_its_source_matters(list_source, parts):
    """With an interval of zero: poll, snapshot, all steps, and only then the next poll."""
    calls = []
    flow = Dataflow()
    flow.input("inp", parts({"a": list_source([1, 2], calls)}))
    flow.inspect(calls.append)
    flow.output("out", TestingOutput([]))
    run_main(flow, epoch_interval=EVERY_POLL)
    assert [call for call in calls if call != "snapshot"] == ["next", 1, "next", 2, "next", "close"]


@pytest.mark.parametrize(
    ("config", "epochs"),
    [
        (EpochConfig(), [0, 0, 0]),
        (TestingEpochConfig(), [0, 1, 2]),
        (PeriodicEpochConfig(timedelta(hours=1)), [0, 0, 0]),
        (PeriodicEpochConfig(EVERY_POLL), [0, 1, 2]),
    ],
)
def test_epoch_configs_of_0_15(epochs_of, config, epochs):
    assert [epoch for epoch, _ in epochs_of(TestingInput("abc"), epoch_config=config)] == epochs


@pytest.mark.parametrize("length", [None, 1, 0.5, "1s"], ids=repr)
def test_an_epoch_length_must_be_a_timedelta(length):
    with pytest.raises(TypeError, match="epoch_length"):
        PeriodicEpochConfig(length)
