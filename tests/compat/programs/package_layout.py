"""A flow inside a package, named by module and by path, with imports of its neighbours.

:run: python package_layout.py
:run: python -m bytewax.run shop.flows.daily
:run: python -m bytewax.run shop/flows/daily.py
:run: python -m bytewax.run ./shop/flows/daily.py:flow
:run: python -m bytewax.run shop.flows
:run: python -m bytewax.run shop/flows/__init__.py
:run: python -m bytewax.run shop/flows
:run: python -m bytewax.run loose/alone.py
:run: python -m bytewax.run shop.flows.missing
:exit: 1
:stderr: Could not import 'shop.flows.missing'.
:run: python -m bytewax.run loose/needs.py
:exit: 1
:stderr: While importing 'needs', an ImportError was raised:
:stderr: no_such_library
:run: python -m bytewax.run loose/broken.py
:exit: 1
:stderr: ZeroDivisionError: division by zero
"""

from pathlib import Path

FILES = {
    "shop/__init__.py": "",
    "shop/prices.py": "PRICES = {'tea': 3, 'jam': 4}\n",
    "shop/flows/__init__.py": """
from ..prices import PRICES
from .daily import build
flow = build(["package", *sorted(PRICES)])
""",
    "shop/flows/daily.py": """
import sys
from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput
from shop.prices import PRICES

def build(items):
    flow = Dataflow()
    flow.input("inp", TestingInput(items))
    flow.map(lambda item: (item, __name__))
    flow.output("out", StdOutput())
    return flow

flow = build([f"{name} {price}" for name, price in PRICES.items()])
""",
    "loose/helper.py": "WORDS = ['alone', 'but', 'helped']\n",
    "loose/alone.py": """
from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput
from helper import WORDS

flow = Dataflow()
flow.input("inp", TestingInput(WORDS))
flow.map(lambda word: (word, __name__, __file__.endswith("alone.py")))
flow.output("out", StdOutput())
""",
    "loose/needs.py": "import no_such_library\n",
    "loose/broken.py": "1 / 0\n",
}

for name, text in FILES.items():
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
