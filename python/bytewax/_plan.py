"""From the steps of a dataflow to the plan that the engine runs.

A plan is a list of tuples `(kind, step_id, label, *args)`. The label is how messages name the step: by
its id or, as it may have none, by what it does and its position.
"""

from __future__ import annotations

from bytewax.inputs import DynamicInput, PartitionedInput, StatefulSource, StatelessSource
from bytewax.outputs import DynamicOutput, EpochOutputConfig, PartitionedOutput, StatefulSink, StatelessSink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bytewax.dataflow import Dataflow
    from bytewax.inputs import Input
    from bytewax.outputs import Output

    PlanStep = tuple[Any, ...]

# By type of step: the kind of the engine's step, and the arguments that it takes, in order.
_KERNELS = {
    "Map": ("map", ("mapper",)),
    "FlatMap": ("flat_map", ("mapper",)),
    "Filter": ("filter", ("predicate",)),
    "FilterMap": ("filter_map", ("mapper",)),
    "Inspect": ("inspect", ("inspector",)),
    "InspectEpoch": ("inspect_epoch", ("inspector",)),
    "Reduce": ("reduce", ("reducer", "is_complete")),
    "StatefulMap": ("stateful_map", ("builder", "mapper")),
}
_OUTPUTS = ("Output", "Capture")


def _input_step(step_id: str, label: str, source: Input) -> PlanStep:
    if isinstance(source, PartitionedInput):
        return ("partitioned_input", step_id, label, source, StatefulSource)
    if isinstance(source, DynamicInput):
        return ("dynamic_input", step_id, label, source, StatelessSource)
    msg = f"unknown input type in step {step_id!r}: expected a `PartitionedInput` or a `DynamicInput`; got {source!r}"
    raise TypeError(msg)


def _output_step(step_id: str, label: str, sink: Output) -> PlanStep:
    if isinstance(sink, PartitionedOutput):
        return ("partitioned_output", step_id, label, sink, StatefulSink)
    if isinstance(sink, EpochOutputConfig):
        return ("dynamic_output_epoch", step_id, label, sink, StatelessSink)
    if isinstance(sink, DynamicOutput):
        return ("dynamic_output", step_id, label, sink, StatelessSink)
    msg = f"unknown output type in step {label!r}: expected a `PartitionedOutput` or a `DynamicOutput`; got {sink!r}"
    raise TypeError(msg)


def plan_of(flow: Dataflow) -> list[PlanStep]:
    """Make the plan of a dataflow.

    Args:
        flow: The dataflow. Later changes of it don't reach the plan.

    Returns:
        The steps of the engine, in order.

    Raises:
        ValueError: It has no input, or no output.
        TypeError: An input or output is neither partitioned nor dynamic.
    """
    steps = flow.steps
    if not any(step["type"] == "Input" for step in steps):
        msg = "Dataflow needs to contain at least one input"
        raise ValueError(msg)
    if not any(step["type"] in _OUTPUTS for step in steps):
        msg = "Dataflow needs to contain at least one output"
        raise ValueError(msg)
    plan: list[PlanStep] = []
    for position, step in enumerate(steps, start=1):
        kind, names = _KERNELS.get(step["type"], (step["type"].lower(), ()))
        step_id = step.get("step_id", "")
        label = step_id or f"{kind} (step {position})"
        if step["type"] == "Input":
            source = step["input"] if "input" in step else step["input_config"]
            plan.append(_input_step(step_id, label, source))
        elif step["type"] in _OUTPUTS:
            sink = step["output"] if "output" in step else step["output_config"]
            plan.append(_output_step(step_id, label, sink))
        else:
            plan.append((kind, step_id, label, *[step[name] for name in names]))
    return plan
