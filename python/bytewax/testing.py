"""Helpers to try and to test dataflows: input from a list, output to one, and the entry points."""

from __future__ import annotations

from _thread import allocate_lock
from datetime import timedelta
from time import monotonic, sleep

from bytewax._engine import IterSource, ListSink
from bytewax.execution import cluster_main, run_main
from bytewax.inputs import PartitionedInput, StatefulSource
from bytewax.outputs import DynamicOutput, StatelessSink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType
    from typing import Any

    from bytewax._engine import Appendable
    from bytewax.inputs import StatelessSource

    doctest_ctx: ModuleType

__all__ = [
    "TestingInput",
    "TestingOutput",
    "cluster_main",
    "doctest_ctx",
    "poll_next",
    "run_main",
    "test_print",
]

_PART = "iter"
_print_lock = allocate_lock()


class TestingInput(PartitionedInput):
    """Input from an iterable, in one partition.

    Elements that are `None` are left out.

    Args:
        it: Iterated anew for each run; a generator therefore gives its items to the first.
    """

    __test__ = False

    def __init__(self, it: Iterable[Any]) -> None:
        self._it = it

    def list_parts(self) -> set[str]:
        """Name the partition."""
        return {_PART}

    def build_part(self, for_part: str, resume_state: Any) -> StatefulSource:
        """Iterate, from after the element whose index a snapshot gave.

        Raises:
            StopIteration: There are not as many elements.
        """
        if for_part != _PART:
            msg = f"the partition of a TestingInput is {_PART!r}; got {for_part!r}"
            raise AssertionError(msg)
        return IterSource(self._it, resume_state)  # type: ignore[return-value]  # registered as a subclass


class TestingOutput(DynamicOutput):
    """Output to a list that all workers share.

    Args:
        ls: The list, or anything with `append`. It is not cleared between runs.
    """

    __test__ = False

    def __init__(self, ls: Appendable) -> None:
        self._ls = ls

    def build(self, worker_index: int, worker_count: int) -> StatelessSink:
        """Make the sink of a worker."""
        return ListSink(self._ls)  # type: ignore[return-value]  # registered as a subclass


def poll_next(source: StatefulSource | StatelessSource, timeout: timedelta = timedelta(seconds=5)) -> Any:
    """Ask a source for its next item, again and again while there is nothing.

    Args:
        source: The source.
        timeout: How long to go on.

    Returns:
        The item.

    Raises:
        TimeoutError: There was nothing all the time.
        StopIteration: The source is finished.
    """
    deadline = monotonic() + timeout.total_seconds()
    while (item := source.next()) is None:
        if monotonic() > deadline:
            msg = f"no item came within {timeout}"
            raise TimeoutError(msg)
        sleep(0.001)
    return item


def test_print(*args: Any, **kwargs: Any) -> None:
    """Print as `print` does, one call at a time, and flush at once."""
    kwargs["flush"] = True
    with _print_lock:
        print(*args, **kwargs)


test_print.__test__ = False  # type: ignore[attr-defined]  # no test, whatever its name says


def __getattr__(name: str) -> Any:
    """Make `doctest_ctx` when it is asked for: few programs do, and it takes long to load."""
    if name != "doctest_ctx":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from bytewax._doctest_ctx import doctest_ctx

    return doctest_ctx
