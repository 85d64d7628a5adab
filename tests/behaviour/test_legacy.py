"""What programs for Bytewax 0.15 use."""

import contextlib
import io

import pytest

from bytewax.dataflow import Dataflow
from bytewax.execution import TestingEpochConfig, run_main
from bytewax.inputs import (
    InputConfig,
    ManualInputConfig,
    TestingBuilderInputConfig,
    TestingInputConfig,
    distribute,
)
from bytewax.outputs import (
    ManualEpochOutputConfig,
    ManualOutputConfig,
    OutputConfig,
    StdOutputConfig,
    TestingEpochOutputConfig,
    TestingOutputConfig,
)
from bytewax.testing import TestingInput, TestingOutput


@pytest.fixture
def run_legacy(entry_point):
    """Return a function that runs a 0.15 input into a 0.15 output."""

    def run_legacy(input_config, output_config, **kwargs):
        flow = Dataflow()
        flow.input("inp", input_config)
        flow.capture(output_config)
        entry_point(flow, **kwargs)

    run_legacy.worker_count = entry_point.worker_count
    return run_legacy


def test_capture_writes_and_passes_on(entry_point):
    flow, first, second = Dataflow(), [], []
    flow.input("inp", TestingInputConfig(range(3)))
    assert flow.capture(TestingOutputConfig(first)) is None
    flow.map(lambda item: item * 10)
    flow.capture(TestingOutputConfig(second))
    entry_point(flow)
    assert (sorted(first), sorted(second)) == ([0, 1, 2], [0, 10, 20])


def test_the_generations_mix(entry_point):
    flow, first, second = Dataflow(), [], []
    flow.input("inp", TestingInput(range(3)))
    flow.capture(TestingOutput(first))
    flow.output("out", TestingOutputConfig(second))
    entry_point(flow)
    assert sorted(first) == sorted(second) == [0, 1, 2]


def test_capture_counts_as_output_and_takes_nothing_else():
    flow = Dataflow()
    with pytest.raises(TypeError, match="argument 'output_config'"):
        flow.capture(1)
    with pytest.raises(TypeError, match="output_config"):
        flow.capture()
    flow.input("inp", TestingInputConfig([]))
    flow.capture(output_config=TestingOutputConfig([]))
    run_main(flow)


def test_input_may_be_named_input_config():
    flow, out, config = Dataflow(), [], TestingInputConfig([1])
    flow.input("inp", input_config=config)
    flow.capture(TestingOutputConfig(out))
    assert [step["type"] for step in flow.steps] == ["Input", "Capture"]
    assert flow.steps[0] == {"type": "Input", "step_id": "inp", "input_config": config}
    run_main(flow)
    assert out == [1]
    with pytest.raises(TypeError, match="not both"):
        flow.input("inp", TestingInput([]), input_config=config)
    with pytest.raises(TypeError, match="argument 'input_config'"):
        flow.input("inp", input_config=1)


@pytest.mark.parametrize(
    "config",
    [TestingInputConfig([]), TestingBuilderInputConfig(list), ManualInputConfig(lambda index, count, state: [])],
    ids=lambda config: type(config).__name__,
)
def test_inputs_are_input_configs(config):
    assert isinstance(config, InputConfig)


@pytest.mark.parametrize(
    "config",
    [
        StdOutputConfig(),
        TestingOutputConfig([]),
        TestingEpochOutputConfig([]),
        ManualOutputConfig(lambda index, count: print),
        ManualEpochOutputConfig(lambda index, count: print),
    ],
    ids=lambda config: type(config).__name__,
)
def test_outputs_are_output_configs(config):
    assert isinstance(config, OutputConfig)


@pytest.mark.parametrize(
    "config", [ManualInputConfig, TestingBuilderInputConfig, ManualOutputConfig, ManualEpochOutputConfig]
)
def test_a_builder_must_be_callable(config):
    with pytest.raises(TypeError, match="'int' object is not callable"):
        config(1)


def test_elements_are_dealt_to_the_workers(run_legacy):
    out, built = [], []

    def builder():
        built.append(1)
        return iter(range(7))

    run_legacy(TestingInputConfig(range(7)), TestingOutputConfig(out))
    assert sorted(out) == list(range(7))
    out.clear()
    run_legacy(TestingBuilderInputConfig(builder), TestingOutputConfig(out))
    assert sorted(out) == list(range(7))
    assert len(built) == run_legacy.worker_count


def test_a_manual_input_is_built_for_each_worker(run_legacy):
    out, built = [], []

    def input_builder(worker_index, worker_count, resume_state):
        built.append((worker_index, worker_count, resume_state))
        yield None
        yield 1, f"first of {worker_index}"
        yield None
        yield 2, f"second of {worker_index}"

    run_legacy(ManualInputConfig(input_builder), TestingOutputConfig(out))
    workers = range(run_legacy.worker_count)
    assert sorted(built) == [(index, len(workers), None) for index in workers]
    assert sorted(out) == sorted(f"{place} of {index}" for index in workers for place in ("first", "second"))


@pytest.mark.parametrize("wrong", [1, "ab", [1, 2], (1,), (1, 2, 3)], ids=repr)
def test_a_manual_input_yields_two_tuples(wrong):
    flow, out = Dataflow(), []
    flow.input("inp", ManualInputConfig(lambda index, count, state: [(0, "good"), wrong]))
    flow.capture(TestingOutputConfig(out))
    with pytest.raises(TypeError) as caught:
        run_main(flow)
    phrase = f"Manual input builders must yield `(state, item)` two-tuples; got `{wrong!r}` instead"
    assert phrase in str(caught.value)
    assert out == ["good"]


def test_a_manual_output_is_built_for_each_worker(run_legacy):
    handled, built = [], []

    def output_builder(worker_index, worker_count):
        built.append((worker_index, worker_count))
        return handled.append

    run_legacy(TestingInputConfig(range(5)), ManualOutputConfig(output_builder))
    assert sorted(handled) == list(range(5))
    assert sorted(built) == [(index, run_legacy.worker_count) for index in range(run_legacy.worker_count)]


def test_a_handler_must_be_callable():
    flow = Dataflow()
    flow.input("inp", TestingInputConfig([]))
    flow.capture(ManualOutputConfig(lambda index, count: None))
    with pytest.raises(TypeError, match="must return a callable"):
        run_main(flow)


@pytest.mark.parametrize("make", [TestingEpochOutputConfig, lambda ls: ManualEpochOutputConfig(lambda i, n: ls.append)])
def test_epoch_outputs_are_given_epoch_and_item(make):
    flow, out = Dataflow(), []
    flow.input("inp", TestingInput("abc"))
    flow.capture(make(out))
    flow.inspect(passed_on := [].append)
    run_main(flow, epoch_config=TestingEpochConfig())
    assert out == [(0, "a"), (1, "b"), (2, "c")]
    assert passed_on.__self__ == ["a", "b", "c"]


def test_std_output_config_prints(run_legacy):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        run_legacy(TestingInputConfig([1, "a"]), StdOutputConfig())
    assert sorted(printed.getvalue().splitlines()) == ["1", "a"]


@pytest.mark.parametrize(
    ("index", "count", "elements"), [(0, 1, "abcde"), (0, 2, "ace"), (1, 2, "bd"), (4, 5, "e"), (6, 7, "")]
)
def test_distribute_deals_in_turn(index, count, elements):
    assert list(distribute("abcde", index, count)) == list(elements)


def test_distribute_refuses_an_index_out_of_range():
    with pytest.raises(AssertionError):
        list(distribute("abc", 2, 2))
