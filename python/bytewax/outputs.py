"""Where the items of a dataflow go: the classes to derive sinks from.

Derive from `PartitionedOutput` for output that has positions to go back to, each partition written
by a `StatefulSink`; from `DynamicOutput` for output that every worker writes for itself, by a
`StatelessSink`. Ready-made ones are in `bytewax.connectors` and `bytewax.testing`.

The names that end in `Config` are those of Bytewax 0.15.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from bytewax import _engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    from bytewax._engine import Appendable

    X = TypeVar("X")

__all__ = [
    "DynamicOutput",
    "ManualEpochOutputConfig",
    "ManualOutputConfig",
    "Output",
    "OutputConfig",
    "PartitionedOutput",
    "StatefulSink",
    "StatelessSink",
    "StdOutputConfig",
    "TestingEpochOutputConfig",
    "TestingOutputConfig",
]


class Output(ABC):  # has nothing to implement
    """Base of all outputs. Derive from `PartitionedOutput` or `DynamicOutput`, not from this."""

    def __json__(self) -> dict[str, Any]:
        """Describe this output for `bytewax._encoder`."""
        return {"type": type(self).__name__}


class StatefulSink(ABC):
    """Writes one partition of a `PartitionedOutput`, and knows its position in it."""

    @abstractmethod
    def write(self, value: Any) -> None:
        """Write the value of a `(key, value)` item."""

    @abstractmethod
    def snapshot(self) -> Any:
        """Take the position after the last value written.

        Returns:
            What `PartitionedOutput.build_part` is to resume from; it has to pickle.
        """

    def close(self) -> None:  # may be left out
        """Let go of resources, at the end of the dataflow. Not called after a failure."""


class PartitionedOutput(Output):
    """Output made of partitions, each with positions that writing can resume from."""

    @abstractmethod
    def list_parts(self) -> Iterable[str]:
        """Name the partitions. Called once on each worker.

        Returns:
            All the names that this worker knows, a set of them as a rule.
        """

    @abstractmethod
    def assign_part(self, item_key: str) -> str:
        """Choose the partition of an item, always the same one for the same key.

        Args:
            item_key: Key of the `(key, value)` item.

        Returns:
            A name out of `list_parts`.
        """

    @abstractmethod
    def build_part(self, for_part: str, resume_state: Any) -> StatefulSink:
        """Open a partition. Called once in the cluster for each of them, by position.

        Args:
            for_part: Name of the partition.
            resume_state: What its sink last returned from `snapshot`; `None` on a fresh start.

        Returns:
            What writes it.
        """


class StatelessSink(ABC):
    """Writes what a `DynamicOutput` gets on one worker."""

    @abstractmethod
    def write(self, item: Any) -> None:
        """Write an item."""

    def close(self) -> None:  # may be left out
        """Let go of resources, at the end of the dataflow. Not called after a failure."""


class DynamicOutput(Output):
    """Output that every worker writes for itself, with no positions to go back to."""

    @abstractmethod
    def build(self, worker_index: int, worker_count: int) -> StatelessSink:
        """Open this worker's sink. Called once on each worker.

        Args:
            worker_index: Which worker this is, from 0.
            worker_count: How many there are.

        Returns:
            What writes its items.
        """


StatefulSink.register(_engine.FileSink)
StatelessSink.register(_engine.ListSink)
StatelessSink.register(_engine.PrintSink)


class OutputConfig(DynamicOutput):
    """Base of the outputs of Bytewax 0.15, which `Dataflow.capture` takes."""


class EpochOutputConfig(OutputConfig):
    """Base of those of them whose sinks get `(epoch, item)`."""


class _HandlerSink(StatelessSink):
    def __init__(self, handler: Callable[[Any], Any]) -> None:
        if not callable(handler):
            msg = f"`output_builder` must return a callable; got `{handler!r}` instead"
            raise TypeError(msg)
        self._handler = handler

    def write(self, item: Any) -> None:
        self._handler(item)


def _checked_builder(output_builder: X) -> X:
    if not callable(output_builder):
        msg = f"argument 'output_builder': '{type(output_builder).__name__}' object is not callable"
        raise TypeError(msg)
    return output_builder


class ManualOutputConfig(OutputConfig):
    """Output by a function that makes a handler for each worker (Bytewax 0.15).

    Args:
        output_builder: Called with worker index and worker count; returns what to call with each item.
    """

    def __init__(self, output_builder: Callable[[int, int], Callable[[Any], Any]]) -> None:
        self.output_builder = _checked_builder(output_builder)

    def build(self, worker_index: int, worker_count: int) -> StatelessSink:
        """Call the builder for this worker."""
        return _HandlerSink(self.output_builder(worker_index, worker_count))


class ManualEpochOutputConfig(EpochOutputConfig):
    """Output by a function that makes a handler for each worker (Bytewax 0.15).

    Args:
        output_builder: Called with worker index and worker count; returns what to call with each
            `(epoch, item)`, one tuple.
    """

    def __init__(self, output_builder: Callable[[int, int], Callable[[Any], Any]]) -> None:
        self.output_builder = _checked_builder(output_builder)

    def build(self, worker_index: int, worker_count: int) -> StatelessSink:
        """Call the builder for this worker."""
        return _HandlerSink(self.output_builder(worker_index, worker_count))


class StdOutputConfig(OutputConfig):
    """Print each item, as `bytewax.connectors.stdio.StdOutput` does (Bytewax 0.15)."""

    def build(self, worker_index: int, worker_count: int) -> StatelessSink:
        """Make the sink of a worker."""
        return _engine.PrintSink()  # type: ignore[return-value]  # registered above


class TestingOutputConfig(OutputConfig):
    """Append each item to a list (Bytewax 0.15).

    Args:
        ls: The list, or anything with `append`.
    """

    __test__ = False

    def __init__(self, ls: Appendable) -> None:
        self.ls = ls

    def build(self, worker_index: int, worker_count: int) -> StatelessSink:
        """Make the sink of a worker."""
        return _engine.ListSink(self.ls)  # type: ignore[return-value]  # registered above


class TestingEpochOutputConfig(EpochOutputConfig):
    """Append each `(epoch, item)` to a list (Bytewax 0.15).

    Args:
        ls: The list, or anything with `append`.
    """

    __test__ = False

    def __init__(self, ls: Appendable) -> None:
        self.ls = ls

    def build(self, worker_index: int, worker_count: int) -> StatelessSink:
        """Make the sink of a worker."""
        return _engine.ListSink(self.ls)  # type: ignore[return-value]  # registered above
