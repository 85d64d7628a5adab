"""A sink that fails, or isn't one: the class, where it happened, and what was written before."""

from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicOutput, Output, PartitionedOutput, StatefulSink, StatelessSink
from bytewax.testing import TestingInput, TestingOutput, run_main

written = []


class Drawer(StatefulSink):
    def __init__(self, fails_in):
        self._fails_in = fails_in

    def write(self, value):
        if self._fails_in == "write" and value == 3:
            raise BufferError("drawer is full")
        written.append(value)

    def snapshot(self):
        if self._fails_in == "snapshot":
            raise OSError("drawer is full")
        return None

    def close(self):
        written.append("closed")
        if self._fails_in == "close":
            raise ArithmeticError("drawer is full")


class Cabinet(PartitionedOutput):
    def __init__(self, fails_in="", parts=None, sink=None, part="top"):
        self._fails_in = fails_in
        self._parts = {"top"} if parts is None else parts
        self._sink = sink
        self._part = part

    def list_parts(self):
        if self._fails_in == "list_parts":
            raise PermissionError("drawer is full")
        return self._parts

    def assign_part(self, item_key):
        if self._fails_in == "assign_part":
            raise FileExistsError("drawer is full")
        return self._part

    def build_part(self, for_part, resume_state):
        if self._fails_in == "build_part":
            raise ValueError("drawer is full")
        return self._sink or (None if self._fails_in == "none" else Drawer(self._fails_in))


class Pipe(StatelessSink):
    def __init__(self, fails_in):
        self._fails_in = fails_in

    def write(self, item):
        if self._fails_in == "write" and item[1] == 3:
            raise BufferError("drawer is full")
        written.append(item)

    def close(self):
        written.append("closed")
        if self._fails_in == "close":
            raise ArithmeticError("drawer is full")


class Pipes(DynamicOutput):
    def __init__(self, fails_in="", sink=None):
        self._fails_in = fails_in
        self._sink = sink

    def build(self, worker_index, worker_count):
        if self._fails_in == "build":
            raise ValueError("drawer is full")
        return self._sink or (None if self._fails_in == "none" else Pipe(self._fails_in))


class Bare(Output):
    pass


def run(name, sink, *phrases):
    written.clear()
    passed_on = []
    flow = Dataflow()
    flow.input("inp", TestingInput([("a", 1), ("b", 2), ("a", 3), ("b", 4)]))
    flow.output("sink", sink)
    flow.output("out", TestingOutput(passed_on))
    try:
        run_main(flow)
    except Exception as error:
        found = [phrase in str(error) for phrase in phrases]
        print(name, type(error).__name__, found, "drawer is full" in str(error), written, passed_on)
    else:
        print(name, "no error", written, passed_on)


run("write", Cabinet("write"), "error writing to output")
run("snapshot", Cabinet("snapshot"))
run("close", Cabinet("close"))
run(
    "list_parts",
    Cabinet("list_parts"),
    "error calling PartitionedOutput.list_parts",
    "error building Dataflow",
)
run("build_part", Cabinet("build_part"), "error building output parts", "error building PartitionedOutput")
run("assign_part", Cabinet("assign_part"))
run("no such part", Cabinet(part="bottom"), "inconsistent `assign_part`?", "bottom")
run("no parts", Cabinet(parts=set()), "inconsistent `assign_part`?")
for part in (None, 3, b"top"):
    run("part of another type", Cabinet(part=part))
for sink in (Pipe(""), 5, print):
    run("not a sink", Cabinet(sink=sink), "stateful sink must subclass `bytewax.outputs.StatefulSink`")
run("None", Cabinet("none"), "stateful sink must subclass `bytewax.outputs.StatefulSink`")
for parts in ({1}, {"top", None}, 7):
    run("bad parts", Cabinet(parts=parts), "error converting output parts to set")
run("fine", Cabinet())

run("dynamic write", Pipes("write"), "error writing to dynamic output")
run("dynamic close", Pipes("close"), "error closing dynamic output")
run("dynamic build", Pipes("build"), "error building DynamicOutput")
run("dynamic None", Pipes("none"), "stateless sink must subclass `bytewax.outputs.StatelessSink`")
run("dynamic stateful", Pipes(sink=Drawer("")), "stateless sink must subclass `bytewax.outputs.StatelessSink`")
run("dynamic fine", Pipes())
run("bare", Bare(), "unknown output type")
for abstract in (PartitionedOutput, DynamicOutput, StatefulSink, StatelessSink):
    try:
        abstract()
    except TypeError as error:
        print(abstract.__name__, "abstract" in str(error))
