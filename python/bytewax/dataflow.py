"""Definition of a dataflow: a list of steps that items take in order.

>>> from bytewax.dataflow import Dataflow
>>> from bytewax.testing import TestingInput, TestingOutput, run_main
>>> flow = Dataflow()
>>> flow.input("inp", TestingInput(range(3)))
>>> flow.map(lambda item: item + 1)
>>> out = []
>>> flow.output("out", TestingOutput(out))
>>> run_main(flow)
>>> out
[1, 2, 3]
"""

from __future__ import annotations

from bytewax.inputs import Input, InputConfig
from bytewax.outputs import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["Dataflow"]


def _check_step_id(step_id: object) -> None:
    if not isinstance(step_id, str):
        msg = f"argument 'step_id': '{type(step_id).__name__}' object cannot be converted to 'str'"
        raise TypeError(msg)


def _check_callable(name: str, value: object) -> None:
    if not callable(value):
        msg = f"argument '{name}': '{type(value).__name__}' object is not callable"
        raise TypeError(msg)


def _check_input(name: str, value: object) -> None:
    if not isinstance(value, Input):
        msg = f"argument '{name}': input must subclass `bytewax.inputs.Input`; got {value!r}"
        raise TypeError(msg)


def _check_output(name: str, value: object) -> None:
    if not isinstance(value, Output):
        msg = f"argument '{name}': output must subclass `bytewax.outputs.Output`; got {value!r}"
        raise TypeError(msg)


class Dataflow:
    """A list of steps, which every item from an input takes in order.

    Each method but those with two underscores adds a step, and returns `None`. Arguments are checked at
    once, as far as their type goes. What they say about the shape of items is checked as items come.

    A dataflow can be run any number of times, also at the same time. It can be copied and pickled if
    its functions, inputs and outputs can be.
    """

    __slots__ = ("__weakref__", "_steps")

    def __init__(self) -> None:
        self._steps: list[dict[str, Any]] = []

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps so far: of each its `"type"` and its arguments by name. A copy."""
        return [dict(step) for step in self._steps]

    def __getstate__(self) -> dict[str, Any]:
        """Give the steps to pickle, copy and `bytewax._encoder`."""
        return {"type": "Dataflow", "steps": self.steps}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the steps of `__getstate__`."""
        self._steps = [dict(step) for step in state["steps"]]

    def input(self, step_id: str, input: Input | None = None, *, input_config: Input | None = None) -> None:  # noqa: A002
        """Read items. The first step; a later one replaces the stream of items for the steps after it.

        Args:
            step_id: Name of this step: the position of the input is kept under it.
            input: Where to read from.
            input_config: The same, under the name it had in Bytewax 0.15.
        """
        _check_step_id(step_id)
        if input_config is not None:
            if input is not None:
                msg = "Dataflow.input() takes 'input' or 'input_config', not both"
                raise TypeError(msg)
            _check_input("input_config", input_config)
            source = input_config
        else:
            _check_input("input", input)
            source = input  # type: ignore[assignment]  # checked
        name = "input_config" if isinstance(source, InputConfig) else "input"
        self._steps.append({"type": "Input", "step_id": step_id, name: source})

    def output(self, step_id: str, output: Output) -> None:
        """Write every item, and pass it on.

        Args:
            step_id: Name of this step: the position of a partitioned output is kept under it.
            output: Where to write to. A `PartitionedOutput` needs items that are `(key, value)`.
        """
        _check_step_id(step_id)
        _check_output("output", output)
        self._steps.append({"type": "Output", "step_id": step_id, "output": output})

    def capture(self, output_config: Output) -> None:
        """Write every item, and pass it on (Bytewax 0.15).

        Args:
            output_config: Where to write to.
        """
        _check_output("output_config", output_config)
        self._steps.append({"type": "Capture", "output_config": output_config})

    def map(self, mapper: Callable[[Any], Any]) -> None:
        """Turn every item into another.

        Args:
            mapper: Called with an item; returns what takes its place.
        """
        _check_callable("mapper", mapper)
        self._steps.append({"type": "Map", "mapper": mapper})

    def flat_map(self, mapper: Callable[[Any], Iterable[Any]]) -> None:
        """Turn every item into any number of others.

        Args:
            mapper: Called with an item; returns an iterable of what takes its place.
        """
        _check_callable("mapper", mapper)
        self._steps.append({"type": "FlatMap", "mapper": mapper})

    def filter(self, predicate: Callable[[Any], bool]) -> None:
        """Keep some of the items.

        Args:
            predicate: Called with an item; returns `True` to keep it or `False` to drop it.
        """
        _check_callable("predicate", predicate)
        self._steps.append({"type": "Filter", "predicate": predicate})

    def filter_map(self, mapper: Callable[[Any], Any | None]) -> None:
        """Turn every item into another or none.

        Args:
            mapper: Called with an item; returns what takes its place, `None` to drop it.
        """
        _check_callable("mapper", mapper)
        self._steps.append({"type": "FilterMap", "mapper": mapper})

    def inspect(self, inspector: Callable[[Any], Any]) -> None:
        """Look at every item, and pass it on.

        Args:
            inspector: Called with an item. What it returns is ignored.
        """
        _check_callable("inspector", inspector)
        self._steps.append({"type": "Inspect", "inspector": inspector})

    def inspect_epoch(self, inspector: Callable[[int, Any], Any]) -> None:
        """Look at every item and the epoch that it belongs to, and pass it on.

        Args:
            inspector: Called with an epoch and an item. What it returns is ignored.
        """
        _check_callable("inspector", inspector)
        self._steps.append({"type": "InspectEpoch", "inspector": inspector})

    def reduce(self, step_id: str, reducer: Callable[[Any, Any], Any], is_complete: Callable[[Any], bool]) -> None:
        """Combine the values of a key until the result is complete, and emit it as `(key, result)`.

        Items must be `(key, value)`. At the end of input, what is not complete is not emitted.

        Args:
            step_id: Name of this step: its state is kept under it.
            reducer: Called with what the values so far gave, the first value to begin with, and the
                next value; returns what they give together.
            is_complete: Called with what the values so far give, after each; returns `True` to emit
                it, after which the key begins anew, or `False` to go on.
        """
        _check_step_id(step_id)
        _check_callable("reducer", reducer)
        _check_callable("is_complete", is_complete)
        step = {"type": "Reduce", "step_id": step_id, "reducer": reducer, "is_complete": is_complete}
        self._steps.append(step)

    def stateful_map(
        self, step_id: str, builder: Callable[[], Any], mapper: Callable[[Any, Any], tuple[Any, Any]]
    ) -> None:
        """Turn every `(key, value)` into `(key, another value)`, with a state for each key.

        Args:
            step_id: Name of this step: its state is kept under it.
            builder: Called with nothing; returns the state of a new key.
            mapper: Called with the state of the key and the value; returns a tuple of its state from
                now on, `None` to forget the key, and the value to emit.
        """
        _check_step_id(step_id)
        _check_callable("builder", builder)
        _check_callable("mapper", mapper)
        self._steps.append({"type": "StatefulMap", "step_id": step_id, "builder": builder, "mapper": mapper})
