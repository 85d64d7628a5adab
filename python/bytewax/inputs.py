"""Where the items of a dataflow come from: the classes to derive sources from.

Derive from `PartitionedInput` for input that has positions to resume from, each partition read by a
`StatefulSource`; from `DynamicInput` for input that every worker reads as it comes, by a
`StatelessSource`. Ready-made ones are in `bytewax.connectors` and `bytewax.testing`.

The names that end in `Config`, and `distribute`, are those of Bytewax 0.15.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from bytewax import _engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypeVar

    X = TypeVar("X")

__all__ = [
    "DynamicInput",
    "EmptySource",
    "Input",
    "InputConfig",
    "ManualInputConfig",
    "PartitionedInput",
    "StatefulSource",
    "StatelessSource",
    "TestingBuilderInputConfig",
    "TestingInputConfig",
    "distribute",
]


class Input(ABC):  # has nothing to implement
    """Base of all inputs. Derive from `PartitionedInput` or `DynamicInput`, not from this."""

    def __json__(self) -> dict[str, Any]:
        """Describe this input for `bytewax._encoder`."""
        return {"type": type(self).__name__}


class StatefulSource(ABC):
    """Reads one partition of a `PartitionedInput`, and knows its position in it."""

    @abstractmethod
    def next(self) -> Any:
        """Read the next item.

        It should not block: no other step of this worker runs meanwhile.

        Returns:
            An item, or `None` if there is nothing now.

        Raises:
            StopIteration: This partition is finished.
        """

    @abstractmethod
    def snapshot(self) -> Any:
        """Take the position after the last item that `next` returned.

        Returns:
            What `PartitionedInput.build_part` is to resume from; it has to pickle.
        """

    def close(self) -> None:  # may be left out
        """Let go of resources, once this partition is finished. Not called after a failure."""


class PartitionedInput(Input):
    """Input made of partitions, each with positions that reading can resume from."""

    @abstractmethod
    def list_parts(self) -> Iterable[str]:
        """Name the partitions. Called once on each worker.

        Returns:
            All the names that this worker knows, a set of them as a rule.
        """

    @abstractmethod
    def build_part(self, for_part: str, resume_state: Any) -> StatefulSource | None:
        """Open a partition. Called once in the cluster for each of them, by position.

        Args:
            for_part: Name of the partition.
            resume_state: What its source last returned from `snapshot`; `None` on a fresh start.

        Returns:
            What reads it, or `None` to leave it out.
        """


class StatelessSource(ABC):
    """Reads what a `DynamicInput` has for one worker."""

    @abstractmethod
    def next(self) -> Any:
        """Read the next item.

        It should not block: no other step of this worker runs meanwhile.

        Returns:
            An item, or `None` if there is nothing now.

        Raises:
            StopIteration: This source is finished.
        """

    def close(self) -> None:  # may be left out
        """Let go of resources, once this source is finished. Not called after a failure."""


class DynamicInput(Input):
    """Input that every worker reads a share of, with no positions to resume from."""

    @abstractmethod
    def build(self, worker_index: int, worker_count: int) -> StatelessSource:
        """Open this worker's share. Called once on each worker.

        Args:
            worker_index: Which worker this is, from 0.
            worker_count: How many there are.

        Returns:
            What reads it.
        """


class EmptySource(StatelessSource):
    """Source with no items, for a worker that has nothing to read."""

    def next(self) -> Any:
        """Raise `StopIteration`."""
        raise StopIteration


StatefulSource.register(_engine.IterSource)
StatefulSource.register(_engine.LineSource)
StatefulSource.register(_engine.CsvSource)


class InputConfig(DynamicInput):
    """Base of the inputs of Bytewax 0.15. Every worker reads for itself; items stay on it."""


class _ManualSource(StatelessSource):
    def __init__(self, pairs: Iterator[Any]) -> None:
        self._pairs = pairs

    def next(self) -> Any:
        pair = next(self._pairs)
        if pair is None:
            return None
        if not isinstance(pair, tuple) or len(pair) != 2:
            msg = f"Manual input builders must yield `(state, item)` two-tuples; got `{pair!r}` instead"
            raise TypeError(msg)
        return pair[1]


class ManualInputConfig(InputConfig):
    """Input by a function that makes an iterable for each worker (Bytewax 0.15).

    Args:
        input_builder: Called with worker index, worker count and resume state (`None`); returns an
            iterable of `(state, item)`, with `None` for "nothing yet".
    """

    def __init__(self, input_builder: Callable[[int, int, Any], Iterable[Any]]) -> None:
        if not callable(input_builder):
            msg = f"argument 'input_builder': '{type(input_builder).__name__}' object is not callable"
            raise TypeError(msg)
        self.input_builder = input_builder

    def build(self, worker_index: int, worker_count: int) -> StatelessSource:
        """Call the builder for this worker."""
        return _ManualSource(iter(self.input_builder(worker_index, worker_count, None)))


class _DealtSource(StatelessSource):
    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items

    def next(self) -> Any:
        return next(self._items)


class TestingInputConfig(InputConfig):
    """Input from an iterable, its elements dealt to the workers in turn (Bytewax 0.15).

    Args:
        it: Iterated once on each worker.
    """

    __test__ = False

    def __init__(self, it: Iterable[Any]) -> None:
        self.it = it

    def build(self, worker_index: int, worker_count: int) -> StatelessSource:
        """Iterate this worker's elements."""
        return _DealtSource(distribute(self.it, worker_index, worker_count))


class TestingBuilderInputConfig(InputConfig):
    """Input from a function that makes an iterable, its elements dealt in turn (Bytewax 0.15).

    Args:
        builder: Called once on each worker.
    """

    __test__ = False

    def __init__(self, builder: Callable[[], Iterable[Any]]) -> None:
        if not callable(builder):
            msg = f"argument 'builder': '{type(builder).__name__}' object is not callable"
            raise TypeError(msg)
        self.builder = builder

    def build(self, worker_index: int, worker_count: int) -> StatelessSource:
        """Iterate this worker's elements of a new iterable."""
        return _DealtSource(distribute(self.builder(), worker_index, worker_count))


def distribute(elements: Iterable[X], index: int, count: int) -> Iterator[X]:
    """Deal elements to workers in turn.

    Args:
        elements: What to deal.
        index: Which worker's share to take, from 0.
        count: How many workers there are.

    Returns:
        The elements at positions `index`, `index + count`, ...

    Raises:
        AssertionError: `index` is not below `count`; raised as the iteration begins.

    >>> list(distribute("abcde", 1, 2))
    ['b', 'd']
    """
    if index >= count:
        msg = f"index must be less than count {count}; got {index}"
        raise AssertionError(msg)
    for position, element in enumerate(elements):
        if position % count == index:
            yield element
