"""Factories that aren't plain functions, and an interval of half a second: refused upstream, taken here.

:run: python -m bytewax.run factory_objects:partial_flow
:upstream exit: 1
:ours: made by a partial
:run: python -m bytewax.run "factory_objects:Maker('me')"
:upstream exit: 1
:ours: made by me
:run: python -m bytewax.run factory_objects:get_flow --epoch-interval 0.5
:upstream exit: 2
:ours: made by a function
"""

import functools

from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput


def get_flow(maker="a function"):
    flow = Dataflow()
    flow.input("inp", TestingInput([f"made by {maker}"]))
    flow.output("out", StdOutput())
    return flow


class Factory:
    def __call__(self, maker):
        return get_flow(maker)


partial_flow = functools.partial(get_flow, "a partial")
Maker = Factory()
