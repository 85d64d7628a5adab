"""Click-through rate of searches: sessions reduced to event lists, split into searches, rated."""

from dataclasses import dataclass

from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, run_main


@dataclass
class AppOpen:
    user: int


@dataclass
class Search:
    user: int
    query: str


@dataclass
class Results:
    user: int
    items: list[str]


@dataclass
class ClickResult:
    user: int
    item: str


@dataclass
class AppClose:
    user: int


@dataclass
class Timeout:
    user: int


EVENTS = [
    AppOpen(1),
    Search(1, "dogs"),
    Results(1, ["fido", "rover", "buddy"]),
    AppOpen(2),
    ClickResult(1, "rover"),
    Search(2, "fruit"),
    Search(1, "cats"),
    Results(2, ["apple", "orange"]),
    Results(1, ["fluffy", "burrito", "kathy"]),
    ClickResult(1, "fluffy"),
    AppClose(1),
    ClickResult(2, "apple"),
    Timeout(2),
    Search(3, "left open"),
    Results(3, []),
]


def is_end(events):
    return isinstance(events[-1], (AppClose, Timeout))


def split_into_searches(user_events):
    user, events = user_events
    search = []
    for event in events:
        if isinstance(event, Search) and search:
            yield user, search
            search = []
        search.append(event)
    yield user, search


def rate(user_search):
    user, search = user_search
    clicks = sum(isinstance(event, ClickResult) for event in search)
    shown = sum(len(event.items) for event in search if isinstance(event, Results))
    return user, search[0].query, round(clicks / shown, 3)


flow = Dataflow()
flow.input("events", TestingInput(EVENTS))
flow.map(lambda event: (str(event.user), [event]))
flow.reduce("sessions", list.__add__, is_end)
flow.flat_map(split_into_searches)
flow.filter(lambda user_search: isinstance(user_search[1][0], Search))
flow.map(rate)
flow.output("out", StdOutput())
run_main(flow)
