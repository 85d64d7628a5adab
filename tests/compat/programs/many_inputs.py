"""Steps before the first input, and a second input: each step sees the input recorded last before it."""

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main

first_out, second_out, early, between, after = [], [], [], [], []
flow = Dataflow()
flow.map(lambda item: early.append(item))
flow.stateful_map("early", dict, lambda state, value: (state, value))
flow.output("early_out", TestingOutput(early))
flow.input("first", TestingInput(["a", "b", "c"]))
flow.inspect(between.append)
flow.map(str.upper)
flow.output("first_out", TestingOutput(first_out))
flow.filter(lambda item: item != "B")
flow.inspect(between.append)
flow.input("second", TestingInput([1, 2, 3, 4]))
flow.inspect(after.append)
flow.map(lambda item: item * item)
flow.output("second_out", TestingOutput(second_out))
for _ in range(2):
    run_main(flow)
    print(early, between, first_out, after, second_out)
    for seen in (between, first_out, after, second_out):
        seen.clear()

lazy = Dataflow()
lazy.input("never_looked_at", TestingInput([1]))
lazy.input("looked_at", TestingInput([2]))
lazy.output("out", TestingOutput(second_out))
run_main(lazy)
print(second_out)

for flow in (Dataflow(), Dataflow()):
    try:
        flow.map(str)
        run_main(flow)
    except ValueError as error:
        print("at least one input" in str(error))
flow.input("inp", TestingInput([1]))
try:
    run_main(flow)
except ValueError as error:
    print("at least one output" in str(error))
