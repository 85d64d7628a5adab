"""A dataflow as JSON."""

import functools
import json
import operator
from datetime import date, datetime, timedelta, timezone

import pytest

from bytewax._encoder import DataflowEncoder, encode_dataflow
from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.inputs import TestingInputConfig
from bytewax.outputs import StdOutputConfig
from bytewax.testing import TestingInput


class State:
    def update(self, value):
        return self, value

    def __call__(self, *args):
        return None


def named(*args):
    return None


def encode(value):
    return json.loads(json.dumps(value, cls=DataflowEncoder))


def test_every_operator_is_described():
    flow = Dataflow()
    flow.input("inp", TestingInput([1]))
    flow.map(named)
    flow.flat_map(str.split)
    flow.filter(lambda item: True)
    flow.filter_map(len)
    flow.inspect(print)
    flow.inspect_epoch(print)
    flow.reduce("red", named, lambda total: True)
    flow.stateful_map("state", State, State.update)
    flow.output("out", StdOutput())
    assert encode_dataflow(flow) == json.dumps(
        {
            "steps": [
                {"input": {"type": "TestingInput"}, "step_id": "inp", "type": "Input"},
                {"mapper": "named", "type": "Map"},
                {"mapper": "split", "type": "FlatMap"},
                {"predicate": "<lambda>", "type": "Filter"},
                {"mapper": "len", "type": "FilterMap"},
                {"inspector": "print", "type": "Inspect"},
                {"inspector": "print", "type": "InspectEpoch"},
                {"is_complete": "<lambda>", "reducer": "named", "step_id": "red", "type": "Reduce"},
                {"builder": "State", "mapper": "update", "step_id": "state", "type": "StatefulMap"},
                {"output": {"type": "StdOutput"}, "step_id": "out", "type": "Output"},
            ],
            "type": "Dataflow",
        }
    )


def test_steps_of_0_15_are_described():
    flow = Dataflow()
    flow.input("inp", TestingInputConfig([1]))
    flow.capture(StdOutputConfig())
    assert encode(flow)["steps"] == [
        {"type": "Input", "step_id": "inp", "input_config": {"type": "TestingInputConfig"}},
        {"type": "Capture", "output_config": {"type": "StdOutputConfig"}},
    ]


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (State, "State"),
        (State.update, "update"),
        (State().update, "update"),
        (str.split, "split"),
        ("a".split, "split"),
        (len, "len"),
        (named, "named"),
        (lambda: 0, "<lambda>"),
        (timedelta(seconds=10), "0:00:10"),
        (datetime(2005, 7, 14, 12, 30, tzinfo=timezone.utc), "2005-07-14T12:30:00+00:00"),
        (date(2005, 7, 14), "2005-07-14"),
        (TestingInput, "TestingInput"),
        (TestingInput([]), {"type": "TestingInput"}),
        (Dataflow(), {"type": "Dataflow", "steps": []}),
    ],
    ids=str,
)
def test_a_value_is_described(value, encoded):
    assert encode(value) == encoded


@pytest.mark.parametrize(
    "value", [functools.partial(max, 1), operator.itemgetter(0), State()], ids=lambda v: type(v).__name__
)
def test_a_callable_without_a_name_is_shown(value):
    assert encode(value) == repr(value)


def test_what_has_a_state_is_described_by_it():
    class Config:
        def __getstate__(self):
            return {"type": "Config", "length": timedelta(seconds=10)}

    assert encode(Config()) == {"type": "Config", "length": "0:00:10"}


def test_what_has_none_is_a_type_error():
    with pytest.raises(TypeError, match="can not be JSON encoded"):
        encode(1j)
