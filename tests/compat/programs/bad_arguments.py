"""Arguments that are refused at the call, before anything runs."""

from datetime import timedelta

from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, cluster_main, poll_next, run_main


def attempt(name, call, *phrases):
    try:
        result = call()
    except Exception as error:
        print(name, type(error).__name__, [phrase in str(error) for phrase in phrases])
    else:
        print(name, "returned", result)


flow = Dataflow()
for step in ("map", "flat_map", "filter_map", "filter", "inspect", "inspect_epoch"):
    name = {"filter": "predicate", "inspect": "inspector", "inspect_epoch": "inspector"}.get(step, "mapper")
    method = getattr(flow, step)
    attempt(step, lambda: method(5), f"argument '{name}'", "'int' object is not callable")
    attempt(step, lambda: method(None), f"argument '{name}'", "'NoneType' object is not callable")
    attempt(step, method)
    attempt(step, lambda: method(str, str))
    attempt(step, lambda: method(other=str))
    attempt(step, lambda: method(**{name: print}))
attempt("reduce", lambda: flow.reduce(1, max, bool), "argument 'step_id'")
attempt("reduce", lambda: flow.reduce("r", 1, bool), "argument 'reducer'", "'int' object is not callable")
attempt("reduce", lambda: flow.reduce("r", max, 1), "argument 'is_complete'", "'int' object is not callable")
attempt("reduce", lambda: flow.reduce("r", max), "is_complete")
attempt("reduce", lambda: flow.reduce(step_id="r", reducer=max, is_complete=bool))
attempt("stateful_map", lambda: flow.stateful_map(b"s", list, max), "argument 'step_id'")
attempt(
    "stateful_map",
    lambda: flow.stateful_map("s", [], max),
    "argument 'builder'",
    "'list' object is not callable",
)
attempt(
    "stateful_map",
    lambda: flow.stateful_map("s", list, "x"),
    "argument 'mapper'",
    "'str' object is not callable",
)
attempt("stateful_map", lambda: flow.stateful_map("s", list), "mapper")
attempt("stateful_map", lambda: flow.stateful_map(step_id="s", builder=list, mapper=max))
attempt("input", lambda: flow.input("i", [1, 2]), "input must subclass `bytewax.inputs.Input`")
attempt("input", lambda: flow.input("i", TestingInput), "input must subclass `bytewax.inputs.Input`")
attempt("input", lambda: flow.input("i", TestingOutput([])), "input must subclass `bytewax.inputs.Input`")
attempt("input", lambda: flow.input(None, TestingInput([])), "argument 'step_id'")
attempt("input", lambda: flow.input(TestingInput([])))
attempt("input", lambda: flow.input(step_id="i", input=TestingInput([])))
attempt("output", lambda: flow.output("o", print), "output must subclass `bytewax.outputs.Output`")
attempt("output", lambda: flow.output("o", StdOutput), "output must subclass `bytewax.outputs.Output`")
attempt("output", lambda: flow.output(3, StdOutput()), "argument 'step_id'")
attempt("output", lambda: flow.output(step_id="o", output=StdOutput()))
attempt("Dataflow", lambda: Dataflow(1))
print([step["type"] for step in flow.steps])  # what was refused left no step behind

out = []
flow = Dataflow()
flow.input("i", TestingInput([1]))
flow.output("o", TestingOutput(out))
attempt("interval int", lambda: run_main(flow, epoch_interval=1))
attempt("interval float", lambda: run_main(flow, epoch_interval=0.5))
attempt(
    "interval negative",
    lambda: run_main(flow, epoch_interval=timedelta(seconds=-1)),
    "invalid epoch interval",
)
attempt("interval by position", lambda: run_main(flow, timedelta(0)))
attempt("no flow", lambda: run_main([flow]))
attempt("no flow", lambda: run_main(None))
attempt("recovery", lambda: run_main(flow, recovery_config="here"))
attempt("addresses str", lambda: cluster_main(flow, "localhost:2101", 0))
attempt("addresses of int", lambda: cluster_main(flow, [2101], 0))
attempt("proc_id negative", lambda: cluster_main(flow, [], -1))
attempt("proc_id str", lambda: cluster_main(flow, [], "0"))
attempt("no proc_id", lambda: cluster_main(flow, []), "proc_id")
attempt("workers by position", lambda: cluster_main(flow, [], 0, 2))
attempt("workers str", lambda: cluster_main(flow, [], 0, worker_count_per_proc="2"))
attempt("cluster no flow", lambda: cluster_main(None, [], 0))
attempt("cluster interval", lambda: cluster_main(flow, [], 0, epoch_interval=1))
print(out)
attempt("run", lambda: run_main(flow, epoch_interval=None, recovery_config=None))
attempt("cluster", lambda: cluster_main(flow=flow, addresses=[], proc_id=0, epoch_interval=timedelta(0)))
print(out)
attempt("poll_next", lambda: poll_next(TestingInput([5]).build_part("iter", None), timeout=timedelta(seconds=1)))
