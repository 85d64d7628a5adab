"""Gathers what each visitor did until they leave, and says how long they stayed."""

from dataclasses import dataclass

from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, run_main


@dataclass
class Click:
    visitor: str
    page: str
    second: int


CLICKS = [
    Click("anna", "/", 0),
    Click("ben", "/", 4),
    Click("anna", "/news", 9),
    Click("anna", "/leave", 30),
    Click("ben", "/leave", 31),
    Click("anna", "/", 60),  # never leaves: no session
]


def by_visitor(click):
    return click.visitor, [click]


def has_left(clicks):
    return any(click.page == "/leave" for click in clicks)


def stay(session):
    visitor, clicks = session
    seconds = [click.second for click in clicks]
    return f"{visitor} stayed {max(seconds) - min(seconds)} s and saw {len(clicks) - 1} pages"


flow = Dataflow()
flow.input("clicks", TestingInput(CLICKS))
flow.map(by_visitor)
flow.reduce("session", list.__add__, has_left)
flow.map(stay)
flow.output("out", StdOutput())

if __name__ == "__main__":
    run_main(flow)
