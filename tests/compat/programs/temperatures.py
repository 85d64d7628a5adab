"""Readings in Fahrenheit, made Celsius, printed: a first flow, run by its name.

:run: python -m bytewax.run temperatures
:run: python -m bytewax.run temperatures.py
:run: python -m bytewax.run ./temperatures.py:flow
:run: python -m bytewax.run temperatures:flow
"""

from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput

flow = Dataflow()
flow.input("readings", TestingInput([("hall", 68.0), ("cellar", 50.0), ("roof", -40.0), ("oven", 392.0)]))
flow.filter(lambda reading: reading[0] != "oven")
flow.map(lambda reading: (reading[0], round((reading[1] - 32) * 5 / 9, 1)))
flow.inspect(lambda reading: print("saw", reading[0]))
flow.output("out", StdOutput())
