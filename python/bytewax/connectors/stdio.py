"""Output to the standard output."""

from __future__ import annotations

from bytewax._engine import PrintSink
from bytewax.outputs import DynamicOutput, StatelessSink

__all__ = ["StdOutput"]


class StdOutput(DynamicOutput):
    """Print each item to the `sys.stdout` of that moment, on a line of its own.

    A line is written at once, so that lines of different workers do not mix.
    """

    def build(self, worker_index: int, worker_count: int) -> StatelessSink:
        """Make the sink of a worker."""
        return PrintSink()  # type: ignore[return-value]  # registered as a subclass
