"""A source that fails, or isn't one: the class, where it happened, and what was written before."""

from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicInput, Input, PartitionedInput, StatefulSource, StatelessSource
from bytewax.testing import TestingInput, TestingOutput, run_main


class Feed(StatefulSource):
    def __init__(self, fails_in):
        self._fails_in = fails_in
        self._items = [1, 2]

    def next(self):
        if self._items:
            return self._items.pop(0)
        if self._fails_in == "next":
            raise EOFError("feed broke")
        raise StopIteration

    def snapshot(self):
        if self._fails_in == "snapshot":
            raise OSError("feed broke")
        return None

    def close(self):
        print("closed")
        if self._fails_in == "close":
            raise ArithmeticError("feed broke")


class Feeds(PartitionedInput):
    def __init__(self, fails_in="", parts=None, source=None):
        self._fails_in = fails_in
        self._parts = {"only"} if parts is None else parts
        self._source = source

    def list_parts(self):
        if self._fails_in == "list_parts":
            raise PermissionError("feed broke")
        return self._parts

    def build_part(self, for_part, resume_state):
        if self._fails_in == "build_part":
            raise ValueError("feed broke")
        return self._source or Feed(self._fails_in)


class Line(StatelessSource):
    def __init__(self, fails_in):
        self._fails_in = fails_in
        self._items = [1, 2]

    def next(self):
        if self._items:
            return self._items.pop(0)
        if self._fails_in == "next":
            raise ValueError("feed broke")
        raise StopIteration

    def close(self):
        print("closed")
        if self._fails_in == "close":
            raise ArithmeticError("feed broke")


class Lines(DynamicInput):
    def __init__(self, fails_in, source=None):
        self._fails_in = fails_in
        self._source = source

    def build(self, worker_index, worker_count):
        if self._fails_in == "build":
            raise ValueError("feed broke")
        return self._source or (None if self._fails_in == "none" else Line(self._fails_in))


class Bare(Input):
    pass


class Stops(StopIteration):
    pass


class StopsEarly(Feed):
    def next(self):
        raise Stops


def run(name, source, *phrases):
    out = []
    flow = Dataflow()
    flow.input("inp", source)
    flow.output("out", TestingOutput(out))
    try:
        run_main(flow)
    except Exception as error:
        print(
            name,
            type(error).__name__,
            [phrase in str(error) for phrase in phrases],
            "feed broke" in str(error),
            out,
        )
    else:
        print(name, "no error", out)


NEXT = "error getting next input item from partition source"
run("next", Feeds("next"), NEXT)
run("snapshot", Feeds("snapshot"), "error snapshotting input part")
run("close", Feeds("close"), "error closing input part")
run("list_parts", Feeds("list_parts"), "errror in `list_parts`", "error building Dataflow")
run(
    "build_part",
    Feeds("build_part"),
    "error creating input source partitions",
    "error building PartitionedInput",
)
for source in (Line(""), 5, iter([1])):
    run("not a source", Feeds(source=source), "stateful source must subclass `bytewax.inputs.StatefulSource`")
for parts in ({1}, {"a", None}, 7):
    run("bad parts", Feeds(parts=parts))
run("fine", Feeds())
run("subclass of StopIteration", Feeds(source=StopsEarly("")))

run("dynamic next", Lines("next"), "error getting input")
run("dynamic close", Lines("close"), "error closing source")
run("dynamic build", Lines("build"), "error building Dataflow")
run("dynamic None", Lines("none"), "stateless source must subclass `bytewax.inputs.StatelessSource`")
run("dynamic stateful", Lines("", Feed("")), "stateless source must subclass `bytewax.inputs.StatelessSource`")
run("dynamic fine", Lines(""))

run("bare", Bare(), "unknown input type")
run("not iterable", TestingInput(5))
for abstract in (PartitionedInput, DynamicInput, StatefulSource, StatelessSource):
    try:
        abstract()
    except TypeError as error:
        print(abstract.__name__, "abstract" in str(error))
