"""Exceptions that aren't made from one string: a confusing `TypeError` upstream, the user's own class here.

`KeyError` becomes a `RuntimeError` upstream; here it is both, so that either `except` catches it.

:upstream: HttpError False TypeError
:upstream: NoArguments False TypeError
:upstream: UnicodeDecodeError False TypeError
:upstream: OSError True OSError
:upstream: KeyError False RuntimeError
:upstream: keyword False TypeError
:upstream: and caught as a RuntimeError
:ours: HttpError True HttpError
:ours: NoArguments True NoArguments
:ours: UnicodeDecodeError True UnicodeDecodeError
:ours: OSError True OSError
:ours: KeyError True KeyError
:ours: keyword True KeywordError
:ours: and caught as a RuntimeError
"""

from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, run_main


class HttpError(Exception):
    def __init__(self, code, reason):
        super().__init__(f"{code}: {reason}")
        self.code = code


class NoArguments(Exception):
    def __init__(self):
        super().__init__("nothing to say")


class KeywordError(Exception):
    def __init__(self, *, code):
        super().__init__(f"code {code}")


def fail(name):
    if name == "HttpError":
        raise HttpError(404, "not found")
    if name == "NoArguments":
        raise NoArguments
    if name == "UnicodeDecodeError":
        return b"\xff".decode("utf-8")
    if name == "OSError":
        raise OSError(28, "No space left on device")
    if name == "keyword":
        raise KeywordError(code=3)
    return {}[name]


def flow_of(name):
    flow = Dataflow()
    flow.input("inp", TestingInput([name]))
    flow.map(fail)
    flow.output("out", TestingOutput([]))
    return flow


CLASSES = {
    "HttpError": HttpError,
    "NoArguments": NoArguments,
    "UnicodeDecodeError": UnicodeDecodeError,
    "OSError": OSError,
    "KeyError": KeyError,
    "keyword": KeywordError,
}
for name, error_class in CLASSES.items():
    try:
        run_main(flow_of(name))
    except Exception as error:
        named = next((known for known in CLASSES.values() if isinstance(error, known)), type(error))
        print(name, isinstance(error, error_class), named.__name__)
try:
    run_main(flow_of("KeyError"))
except RuntimeError:
    print("and caught as a RuntimeError")
