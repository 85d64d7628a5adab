"""The definition of a dataflow: eager checks, steps, copies."""

import copy
import functools
import operator
import pickle

import pytest

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main


class Callable:
    def __call__(self, *args):
        return None


def add_one(item):
    return item + 1


def nothing(*args):
    return None


OPERATORS = {
    "map": ("mapper",),
    "flat_map": ("mapper",),
    "filter": ("predicate",),
    "filter_map": ("mapper",),
    "inspect": ("inspector",),
    "inspect_epoch": ("inspector",),
    "reduce": ("step_id", "reducer", "is_complete"),
    "stateful_map": ("step_id", "builder", "mapper"),
}
CALLABLES = [
    (name, argument) for name, arguments in OPERATORS.items() for argument in arguments if argument != "step_id"
]
WITH_ID = ["input", "output", "reduce", "stateful_map"]


def arguments_of(name):
    """Valid arguments, by name."""
    if name == "input":
        return {"step_id": "a", "input": TestingInput([])}
    if name == "output":
        return {"step_id": "a", "output": TestingOutput([])}
    return {argument: "a" if argument == "step_id" else nothing for argument in OPERATORS[name]}


def test_dataflow_takes_no_arguments():
    with pytest.raises(TypeError):
        Dataflow(1)


@pytest.mark.parametrize("name", [*OPERATORS, "input", "output"])
def test_operator_adds_a_step_and_returns_none(name):
    flow = Dataflow()
    assert getattr(flow, name)(**arguments_of(name)) is None
    assert len(flow.steps) == 1


@pytest.mark.parametrize("name", [*OPERATORS, "input", "output"])
def test_arguments_can_be_given_by_position_in_their_order(name):
    by_name, by_position = Dataflow(), Dataflow()
    arguments = arguments_of(name)
    getattr(by_name, name)(**arguments)
    getattr(by_position, name)(*arguments.values())
    assert by_name.steps == by_position.steps


@pytest.mark.parametrize("name", [*OPERATORS, "output"])
def test_a_missing_argument_is_named(name):
    *most, last = arguments_of(name).items()
    with pytest.raises(TypeError, match=last[0]):
        getattr(Dataflow(), name)(**dict(most))


def test_a_missing_input_is_named():
    with pytest.raises(TypeError, match="'input'"):
        Dataflow().input("inp")


@pytest.mark.parametrize("name", WITH_ID)
@pytest.mark.parametrize("step_id", [1, None, b"a"], ids=repr)
def test_a_step_id_must_be_a_str(name, step_id):
    flow = Dataflow()
    with pytest.raises(TypeError, match=f"argument 'step_id'.*'{type(step_id).__name__}'"):
        getattr(flow, name)(**{**arguments_of(name), "step_id": step_id})
    assert flow.steps == []


@pytest.mark.parametrize(("name", "argument"), CALLABLES)
def test_what_is_to_be_called_must_be_callable(name, argument):
    flow = Dataflow()
    with pytest.raises(TypeError, match=f"argument '{argument}'.*'int' object is not callable"):
        getattr(flow, name)(**{**arguments_of(name), argument: 1})
    assert flow.steps == []


@pytest.mark.parametrize(
    "mapper",
    [
        nothing,
        str,
        len,
        lambda x: x,
        str.upper,
        [].append,
        functools.partial(max, 1),
        Callable(),
        operator.itemgetter(0),
    ],
    ids=repr,
)
def test_anything_callable_will_do(mapper):
    flow = Dataflow()
    flow.map(mapper)
    assert flow.steps == [{"type": "Map", "mapper": mapper}]


@pytest.mark.parametrize("value", [None, 1, TestingOutput([]), TestingInput], ids=repr)
def test_input_must_be_an_input(value):
    with pytest.raises(TypeError, match=r"argument 'input'.*input must subclass `bytewax\.inputs\.Input`"):
        Dataflow().input("inp", value)


@pytest.mark.parametrize("value", [None, 1, TestingInput([]), TestingOutput], ids=repr)
def test_output_must_be_an_output(value):
    with pytest.raises(TypeError, match=r"argument 'output'.*output must subclass `bytewax\.outputs\.Output`"):
        Dataflow().output("out", value)


@pytest.mark.parametrize("name", ["fold_window", "reduce_window", "collect_window"])
def test_operators_that_come_later_are_absent(name):
    assert not hasattr(Dataflow(), name)


def test_steps_name_their_type_and_arguments():
    source, sink = TestingInput([]), TestingOutput([])
    flow = Dataflow()
    flow.input("inp", source)
    flow.map(nothing)
    flow.flat_map(nothing)
    flow.filter(nothing)
    flow.filter_map(nothing)
    flow.inspect(nothing)
    flow.inspect_epoch(nothing)
    flow.reduce("red", nothing, add_one)
    flow.stateful_map("state", nothing, add_one)
    flow.output("out", sink)
    assert flow.steps == [
        {"type": "Input", "step_id": "inp", "input": source},
        {"type": "Map", "mapper": nothing},
        {"type": "FlatMap", "mapper": nothing},
        {"type": "Filter", "predicate": nothing},
        {"type": "FilterMap", "mapper": nothing},
        {"type": "Inspect", "inspector": nothing},
        {"type": "InspectEpoch", "inspector": nothing},
        {"type": "Reduce", "step_id": "red", "reducer": nothing, "is_complete": add_one},
        {"type": "StatefulMap", "step_id": "state", "builder": nothing, "mapper": add_one},
        {"type": "Output", "step_id": "out", "output": sink},
    ]


def test_steps_is_a_copy_and_read_only():
    flow = Dataflow()
    flow.map(nothing)
    assert flow.steps is not flow.steps
    flow.steps.clear()
    flow.steps[0].clear()
    assert flow.steps == [{"type": "Map", "mapper": nothing}]
    with pytest.raises(AttributeError):
        flow.steps = []


def test_state_is_type_and_steps():
    flow = Dataflow()
    flow.map(nothing)
    assert flow.__getstate__() == {"type": "Dataflow", "steps": flow.steps}
    other = Dataflow.__new__(Dataflow)
    other.__setstate__(flow.__getstate__())
    assert other.steps == flow.steps


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda flow: pickle.loads(pickle.dumps(flow))])
def test_a_copy_runs_on_its_own(copied):
    flow = Dataflow()
    flow.input("inp", TestingInput([1, 2]))
    flow.map(add_one)
    twin = copied(flow)
    out = []
    twin.output("out", TestingOutput(out))
    run_main(twin)
    assert out == [2, 3]
    assert len(flow.steps) == 2


def test_a_subclass_can_add_operators():
    class Mine(Dataflow):
        def add(self, number):
            self.map(lambda item: item + number)

    flow, out = Mine(), []
    flow.input("inp", TestingInput([1]))
    flow.add(10)
    flow.output("out", TestingOutput(out))
    run_main(flow)
    assert out == [11]


def test_a_dataflow_runs_again_and_again(entry_point):
    flow, out = Dataflow(), []
    flow.input("inp", TestingInput([1, 2]))
    flow.output("out", TestingOutput(out))
    for _ in range(3):
        entry_point(flow)
    assert sorted(out) == [1, 1, 1, 2, 2, 2]


def test_steps_added_after_a_run_are_in_the_next():
    flow, out = Dataflow(), []
    flow.input("inp", TestingInput([1]))
    flow.output("out", TestingOutput(out))
    run_main(flow)
    flow.map(add_one)
    flow.output("more", TestingOutput(out))
    run_main(flow)
    assert out == [1, 1, 2]


def test_step_ids_may_repeat(entry_point):
    def running_total(flow):
        flow.stateful_map("total", int, lambda total, value: (total + value, total + value))

    flow, first, last = Dataflow(), [], []
    flow.input("same", TestingInput([("a", 1), ("a", 1), ("a", 1)]))
    running_total(flow)
    flow.output("same", TestingOutput(first))
    running_total(flow)
    flow.output("same", TestingOutput(last))
    entry_point(flow)
    assert sorted(first) == [("a", 1), ("a", 2), ("a", 3)]
    if not entry_point.in_threads:  # items dealt to several workers come in any order
        assert last == [("a", 1), ("a", 3), ("a", 6)]
    assert len(last) == 3
