"""What comes out of a keyed step: plain pairs with a plain key, and the value object that went in."""

from collections import namedtuple

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main

Booking = namedtuple("Booking", "account amount")


class Account(str):
    __slots__ = ()


class Box:  # can't be compared, hashed or pickled in a useful way
    __hash__ = None

    def __init__(self, content):
        self.content = content

    def __reduce__(self):
        raise TypeError("stays where it is")


def show(out, boxes):
    for key, value in sorted(out, key=lambda pair: (pair[0], str(pair[1]))):
        found = value in boxes if isinstance(value, Box) else value
        print(type(key).__name__, repr(key), found)


boxes = [Box(n) for n in range(3)]
for run in (run_main, lambda flow: cluster_main(flow, [], 0, worker_count_per_proc=3)):
    out, types = [], []
    flow = Dataflow()
    flow.input("inp", TestingInput([Booking(Account("a"), boxes[0]), (Account("b"), boxes[1]), ("a", boxes[2])]))
    flow.inspect(lambda item: setattr(item[1], "content", item[1].content + 10))
    flow.stateful_map("seen", int, lambda count, box: (count + 1, box))
    flow.inspect(lambda item: types.append(type(item)))
    flow.output("out", TestingOutput(out))
    run(flow)
    show(out, boxes)
    print(types)
    print([box.content for box in boxes])  # changed on the way, as objects are handed on and not copied

out = []
flow = Dataflow()
flow.input("inp", TestingInput([Booking(Account("a"), 1), ("a", 2), (Account("a"), 3)]))
flow.reduce("sum", lambda total, amount: total + amount, lambda total: total == 6)
flow.output("out", TestingOutput(out))
run_main(flow)
print(out, type(out[0]).__name__, type(out[0][0]).__name__)

items = [[1], {2}, object()]
out = []
flow = Dataflow()
flow.input("inp", TestingInput(items))
flow.filter(lambda item: True)
flow.inspect(lambda item: item.append(9) if isinstance(item, list) else None)
flow.output("out", TestingOutput(out))
run_main(flow)
print([a is b for a, b in zip(items, out)], items[0])
