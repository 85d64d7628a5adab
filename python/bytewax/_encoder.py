"""A dataflow as JSON: what its steps are, and by what names their functions go."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bytewax.dataflow import Dataflow

__all__ = ["DataflowEncoder", "encode_dataflow"]


class DataflowEncoder(json.JSONEncoder):
    """Encodes what the steps of a dataflow hold.

    What has `__json__` or `__getstate__` is encoded as that says; classes and functions are by their
    name, other callables as `repr` shows them.
    """

    def default(self, o: Any) -> Any:
        """Turn an object into one that JSON knows."""
        if isinstance(o, type):
            return o.__qualname__
        if hasattr(o, "__json__"):
            return o.__json__()
        if callable(o):
            return getattr(o, "__name__", None) or repr(o)
        if isinstance(o, dt.date):  # a datetime is one
            return o.isoformat()
        if isinstance(o, dt.timedelta):
            return str(o)
        state = o.__getstate__() if hasattr(o, "__getstate__") else getattr(o, "__dict__", None)
        if state is not None:
            return state
        msg = f"{o!r} can not be JSON encoded: no rule for a {type(o).__name__!r}"
        raise TypeError(msg)


def encode_dataflow(flow: Dataflow) -> str:
    """Describe a dataflow in JSON, keys sorted."""
    return json.dumps(flow, cls=DataflowEncoder, sort_keys=True)
