"""Bound methods, partials and other callables as JSON: upstream fails on them, here they have a name.

:upstream: bound TypeError
:upstream: partial TypeError
:upstream: instance TypeError
:upstream: itemgetter TypeError
:ours: bound str
:ours: partial str
:ours: instance str
:ours: itemgetter str
"""

import functools
import json
import operator

from bytewax._encoder import encode_dataflow
from bytewax.dataflow import Dataflow


class Adder:
    def __call__(self, number):
        return number + 1

    def add(self, number):
        return number + 1


CALLABLES = {
    "bound": Adder().add,
    "partial": functools.partial(max, 1),
    "instance": Adder(),
    "itemgetter": operator.itemgetter(1),
}
for name, mapper in CALLABLES.items():
    flow = Dataflow()
    flow.map(mapper)
    try:
        print(name, type(json.loads(encode_dataflow(flow))["steps"][0]["mapper"]).__name__)
    except TypeError:
        print(name, "TypeError")
