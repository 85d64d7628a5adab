"""A user's function raises: the class stays, the message says where, and the items before are written."""

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main


class Overdrawn(ValueError):
    pass


class Closing(Exception):
    def __init__(self, message="closing time"):
        super().__init__(message)


def divide(number):
    return 6 / number


def overdraw(*args):
    raise Overdrawn("account 7 is overdrawn")


def close(*args):
    raise Closing


def third_fails(*args):
    if args[-1] == 3:
        raise LookupError("no third")
    return args[-1]


def broken_iterator(number):
    if number == 2:
        raise OSError("disk gone")
    yield number
    yield -number


def run(name, items, build, phrase):
    out = []
    flow = Dataflow()
    flow.input("inp", TestingInput(items))
    build(flow)
    flow.output("out", TestingOutput(out))
    try:
        run_main(flow)
    except BaseException as error:
        own_words = [words for words in OWN_WORDS if words in str(error)]
        print(name, type(error).__name__, isinstance(error, Exception), phrase in str(error), own_words, out)
    else:
        print(name, "no error", out)


OWN_WORDS = ["division by zero", "account 7 is overdrawn", "closing time", "no third", "disk gone"]
PAIRS = [("a", 1), ("b", 2), ("a", 3), ("a", 4)]

run("map", [1, 2, 0, 3], lambda flow: flow.map(divide), "error calling `map` mapper")
run("map own class", [1], lambda flow: flow.map(overdraw), "error calling `map` mapper")
run("map default message", [1], lambda flow: flow.map(close), "error calling `map` mapper")
run("filter_map", [1, 2, 0, 3], lambda flow: flow.filter_map(divide), "error calling `map` mapper")
run(
    "flat_map",
    [1, 2, 3],
    lambda flow: flow.flat_map(lambda n: [third_fails(n)]),
    "error calling `flat_map` mapper",
)
run("flat_map iterator", [1, 2, 3], lambda flow: flow.flat_map(broken_iterator), "disk gone")
run("filter", [1, 2, 3], lambda flow: flow.filter(lambda n: bool(third_fails(n))), "no third")
run("inspect", [1, 2, 3], lambda flow: flow.inspect(third_fails), "error calling `inspect` inspector")
run(
    "inspect_epoch",
    [1, 2, 3],
    lambda flow: flow.inspect_epoch(third_fails),
    "error calling `inspect_epoch` inspector",
)
run(
    "reducer",
    PAIRS,
    lambda flow: flow.reduce("r", third_fails, lambda acc: acc == 2),
    "error calling reducer",
)
run("is_complete", PAIRS, lambda flow: flow.reduce("r", max, lambda acc: bool(third_fails(acc))), "no third")
run(
    "builder",
    PAIRS,
    lambda flow: flow.stateful_map("s", overdraw, lambda s, v: (s, v)),
    "error calling `stateful_map` builder",
)
run(
    "builder with an argument",
    PAIRS,
    lambda flow: flow.stateful_map("s", lambda key: key, lambda s, v: (s, v)),
    "error calling `stateful_map` builder",
)
run(
    "mapper",
    PAIRS,
    lambda flow: flow.stateful_map("s", list, lambda s, v: (s, third_fails(v))),
    "error calling `stateful_map` mapper",
)
for step in ("map", "flat_map", "filter", "filter_map", "inspect"):
    for error_class in (SystemExit, GeneratorExit, StopIteration, EOFError, MemoryError, RecursionError):

        def leave(item):
            if item == 2:
                raise error_class("bye")
            return [item] if step == "flat_map" else True

        run(f"{step} {error_class.__name__}", [1, 2, 3], lambda flow: getattr(flow, step)(leave), "bye")
