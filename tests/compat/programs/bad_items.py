"""What the engine itself refuses: items of the wrong shape, results of the wrong type."""

from collections import namedtuple

from bytewax.connectors.files import FileOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main

Reading = namedtuple("Reading", "sensor value")
SHAPE = "Dataflow requires a `(key, value)` 2-tuple as input to every stateful operator for routing; got `{}` instead"
KEY = "Stateful logic functions must return string or integer keys in `(key, value)`; got `{}` instead"
PREDICATE = "return value of `predicate` in filter operator must be a bool; got `{}` instead"
IS_COMPLETE = "return value of `is_complete` in reduce operator must be a bool; got `{}` instead"
MAPPER = (
    "return value of `mapper` in stateful map operator must be a 2-tuple of `(updated_state, updated_value)`; "
    "got `{}` instead"
)


def run(name, items, build, template):
    out = []
    flow = Dataflow()
    flow.input("inp", TestingInput(items))
    build(flow)
    flow.output("out", TestingOutput(out))
    try:
        run_main(flow)
    except Exception as error:
        print(name, type(error).__name__, template.format(repr(items[-1])) in str(error), out)
    else:
        print(name, "no error", out)


def stateful_map(flow):
    flow.stateful_map("last", int, lambda last, value: (value, last))


def reduce(flow):
    flow.reduce("max", max, lambda acc: True)


def file_output(flow):
    flow.output("file", FileOutput("out.txt"))


class Text(str):
    __slots__ = ()


KEYED = (("stateful_map", stateful_map), ("reduce", reduce), ("file output", file_output))
for name, build in KEYED:
    for item in (7, "ab", ["a", "1"], (), ("a",), ("a", "1", "2"), {"a": "1"}, {"a", "b"}):
        run(name, [("ok", "0"), item], build, SHAPE.format("{}"))
    for key in (1, b"a", None, 1.5, ("a",), "\ud800"):
        run(name, [("ok", "0"), (key, "1")], build, KEY.format(repr(key)))
    for item in (("", "1"), Reading("a", "1"), (Text("a"), "1"), ("\0", "1"), ("ключ", "1")):
        run(name, [("ok", "0"), item], build, "")
for result in (1, 0, None, "yes", [], 1.0):
    run(
        "filter",
        ["ok", result],
        lambda flow: flow.filter(lambda item: True if item == "ok" else item),
        PREDICATE,
    )
for result in (1, 0, None, "yes"):
    run(
        "is_complete",
        [("ok", True), ("a", result)],
        lambda flow: flow.reduce("r", max, lambda acc: acc),
        IS_COMPLETE.format(repr(result)),
    )
for result in (1, None, [1, 2], (1,), (1, 2, 3), "ab", Reading(1, 2)):
    run(
        "mapper",
        [("ok", (1, 1)), ("a", result)],
        lambda flow: flow.stateful_map("s", int, lambda state, value: value),
        MAPPER.format(repr(result)),
    )
for item in (7, None, 1.5, object):
    run("flat_map", [[item]], lambda flow: flow.flat_map(lambda item: item[0]), "")
for value in (7, None, b"bytes"):
    run("file value", [("a", "ok"), ("a", value)], file_output, "")
