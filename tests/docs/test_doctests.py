"""Programs of the guide as doctests: those of the package's docstrings, and entry points at a prompt."""

import doctest
import importlib
import pkgutil

import pytest

import bytewax

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(bytewax.__path__, "bytewax.")
    if not module.ispkg and module.name not in ("bytewax._engine", "bytewax.run")
)

SESSION = """
>>> from bytewax.connectors.stdio import StdOutput
>>> from bytewax.dataflow import Dataflow
>>> from bytewax.execution import cluster_main, run_main
>>> from bytewax.testing import TestingInput, doctest_ctx
>>> flow = Dataflow()
>>> flow.input("inp", TestingInput(range(3)))
>>> flow.map(lambda item: item + 1)
>>> flow.output("out", StdOutput())
>>> run_main(flow)
1
2
3
>>> import contextlib, io
>>> def lines_of(**kwargs):
...     with contextlib.redirect_stdout(io.StringIO()) as printed:
...         cluster_main(flow, proc_id=0, **kwargs)
...     return sorted(printed.getvalue().split())
>>> lines_of(addresses=[], worker_count_per_proc=4)
['1', '2', '3']
>>> lines_of(addresses=["localhost:0"], worker_count_per_proc=2)
['1', '2', '3']
"""


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_do_what_they_show(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_some_docstring_has_an_example():
    assert any(doctest.testmod(importlib.import_module(name)).attempted for name in MODULES)


def test_entry_points_work_at_a_prompt():
    test = doctest.DocTestParser().get_doctest(SESSION, {}, "session", None, 0)
    assert doctest.DocTestRunner().run(test).failed == 0
