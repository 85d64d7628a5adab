"""Flows made by functions, picked and fed from the command line; and every way to get that wrong.

:run: python -m bytewax.run factories:get_flow
:run: python -m bytewax.run factories.py:get_flow()
:run: python -m bytewax.run "factories:get_flow('ho', times=2)"
:run: python -m bytewax.run "factories:get_flow(['a', ('b', 1)], 3)"
:run: python -m bytewax.run "factories:get_flow(text=None)"
:run: python -m bytewax.run factories:other_flow
:run: python -m bytewax.run factories
:exit: 1
:stderr: AttributeError: Failed to find attribute 'flow' in 'factories'.
:run: python -m bytewax.run factories:nope
:exit: 1
:stderr: AttributeError: Failed to find attribute 'nope' in 'factories'.
:run: python -m bytewax.run factories:get_flow(
:exit: 1
:stderr: SyntaxError: Failed to parse 'get_flow(' as an attribute name or function call.
:run: python -m bytewax.run factories:a.b
:exit: 1
:stderr: ValueError: Failed to parse 'a.b' as an attribute name or function call.
:run: python -m bytewax.run factories:1
:exit: 1
:stderr: ValueError: Failed to parse '1' as an attribute name or function call.
:run: python -m bytewax.run factories:a.b()
:exit: 1
:stderr: TypeError: Function reference must be a simple name: 'a.b()'.
:run: python -m bytewax.run factories:get_flow(str)
:exit: 1
:stderr: ValueError: Failed to parse arguments as literal values: 'get_flow(str)'.
:run: python -m bytewax.run factories:get_flow(1,2,3)
:exit: 1
:stderr: TypeError: The factory 'get_flow(1,2,3)' in module 'factories' could not be called with the specified arguments.
:run: python -m bytewax.run factories:get_flow(size=2)
:exit: 1
:stderr: TypeError: The factory 'get_flow(size=2)' in module 'factories' could not be called with the specified arguments.
:run: python -m bytewax.run factories:needs_an_argument
:exit: 1
:stderr: TypeError: The factory 'needs_an_argument' in module 'factories' could not be called with the specified arguments.
:run: python -m bytewax.run factories:type_error_inside
:exit: 1
:stderr: TypeError: can only concatenate str
:run: python -m bytewax.run factories:not_a_flow
:exit: 1
:stderr: RuntimeError: A valid Bytewax dataflow was not obtained from 'factories:not_a_flow'.
:run: python -m bytewax.run factories:makes_no_flow
:exit: 1
:stderr: RuntimeError: A valid Bytewax dataflow was not obtained from 'factories:makes_no_flow'.
:run: python -m bytewax.run no_such_module
:exit: 1
:stderr: ImportError: Could not import 'no_such_module'.
:run: python -m bytewax.run
:exit: 2
:stderr: import_str
:run: python -m bytewax.run factories:get_flow --no-such-flag
:exit: 2
:stderr: --no-such-flag
"""

from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput

not_a_flow = 7


def get_flow(text="hey", times=1):
    flow = Dataflow()
    flow.input("inp", TestingInput([text] * times))
    flow.output("out", StdOutput())
    return flow


other_flow = get_flow("a flow, not a factory")


def needs_an_argument(text):
    return get_flow(text)


def type_error_inside():
    return get_flow("text" + 1)


def makes_no_flow():
    return None
