"""A flow shown as JSON and as a list of steps, copied and pickled."""

import copy
import json
import pickle
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from bytewax._encoder import DataflowEncoder, encode_dataflow
from bytewax.connectors.files import CSVInput, DirOutput, FileInput, FileOutput
from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicInput, StatelessSource
from bytewax.testing import TestingInput, TestingOutput, run_main


class Session:
    def __init__(self):
        self.items = []

    def add(self, item):
        self.items.append(item)
        return self, len(self.items)


class Feed(DynamicInput):
    def build(self, worker_index, worker_count):
        return StatelessSource()


class Described(Feed):
    def __json__(self):
        return {"type": "Described", "url": "example.org"}


def tidy(item):
    return item


def pair(item):
    return "all", item


flow = Dataflow()
print(encode_dataflow(flow))
flow.input("feed", Feed())
flow.map(tidy)
flow.flat_map(str.split)
flow.filter(lambda item: True)
flow.filter_map(len)
flow.inspect(print)
flow.inspect_epoch(print)
flow.map(pair)
flow.reduce("reduce", max, bool)
flow.stateful_map("session", Session, Session.add)
flow.output("out", StdOutput())
flow.input("described", Described())
flow.input("csv", CSVInput("a.csv"))
flow.input("file", FileInput(Path("a.txt")))
flow.output("file", FileOutput("b.txt"))
flow.output("dir", DirOutput(Path("."), 2))
flow.output("list", TestingOutput([]))
print(encode_dataflow(flow))
print(json.loads(encode_dataflow(flow))["steps"][8])
print([(step["type"], sorted(step)) for step in flow.steps])
print(flow.steps[1]["mapper"] is tidy, flow.steps is flow.steps, sorted(flow.__getstate__()))

values = {
    "class": Session,
    "function": tidy,
    "builtin": len,
    "descriptor": str.split,
    "date": date(2023, 4, 5),
    "datetime": datetime(2005, 7, 14, 12, 30, tzinfo=timezone.utc),
    "timedelta": timedelta(seconds=10),
    "plain": [1, None, "x"],
}
print(json.dumps(values, cls=DataflowEncoder, sort_keys=True))

out = []
small = Dataflow()
small.input("inp", TestingInput([1, 2]))
small.map(tidy)
small.filter(bool)
small.output("out", TestingOutput(out))
for same in (copy.copy(small), copy.deepcopy(small), pickle.loads(pickle.dumps(small))):
    print(type(same).__name__, encode_dataflow(same) == encode_dataflow(small))
    run_main(same)
    print(out, same.steps[3]["output"] is small.steps[3]["output"])
