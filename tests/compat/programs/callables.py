"""Anything that can be called does as a step's function; anything iterable as what `flat_map` gets back."""

import functools
import operator

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main


class Adder:
    def __init__(self, amount):
        self.amount = amount

    def __call__(self, number):
        return number + self.amount

    def add(self, number):
        return number + self.amount

    @staticmethod
    def twice(number):
        return number * 2

    @classmethod
    def name(cls, number):
        return f"{cls.__name__}{number}"


out = []
flow = Dataflow()
flow.input("inp", TestingInput(range(4)))
flow.map(Adder(1))
flow.map(Adder(2).add)
flow.map(Adder.twice)
flow.map(functools.partial(pow, 2))
flow.map(float)
flow.map(operator.neg)
flow.map(Adder.name)
flow.map(str.lower)
flow.filter("adder-64.0".__ne__)
flow.inspect(out.append)
flow.flat_map(operator.methodcaller("split", "r"))
flow.output("out", TestingOutput(out))
run_main(flow)
print(out)


def chunks(item):
    if isinstance(item, int):
        return (n * n for n in range(item))
    return item


out = []
flow = Dataflow()
flow.input("inp", TestingInput([[1, 2], (3,), "xyz", {"k": 1, "l": 2}, {7}, [], "", 4, b"ab", range(2), [[0], None]]))
flow.flat_map(chunks)
flow.output("out", TestingOutput(out))
run_main(flow)
print(out)

keyed = []
flow = Dataflow()
flow.input("inp", TestingInput([("a", 3), ("a", 1), ("b", 2), ("a", 2)]))
flow.stateful_map("top", functools.partial(max, 0, 0), lambda top, value: (max(top, value),) * 2)
flow.reduce("all", operator.add, (6).__lt__)
flow.output("out", TestingOutput(keyed))
run_main(flow)
print(keyed)
