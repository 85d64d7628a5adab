"""Ctrl-C ends a run at once with a `KeyboardInterrupt` that explains itself; nothing is closed."""

import os
import signal
import threading
import time

from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicInput, StatelessSource
from bytewax.testing import TestingInput, TestingOutput, cluster_main, run_main

MESSAGE = "interrupt signal received, all processes have been shut down"


class Idle(StatelessSource):
    """Gives two items, has the signal sent, and then has nothing more, for ever."""

    def __init__(self):
        self._items = [1, 2]

    def next(self):
        if self._items:
            return self._items.pop()
        if not sent:
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
        return None

    def close(self):
        print("closed")


class Idles(DynamicInput):
    def build(self, worker_index, worker_count):
        return Idle()


sent = []
for name, run in (("run_main", run_main), ("cluster_main", lambda flow: cluster_main(flow, [], 0))):
    sent.clear()
    out = []
    flow = Dataflow()
    flow.input("idle", Idles())
    flow.output("out", TestingOutput(out))
    try:
        run(flow)
    except KeyboardInterrupt as interrupt:
        explained = run is not run_main or MESSAGE in str(interrupt)
        print(name, explained, out, time.monotonic() - sent[0] < 5, threading.active_count())


def press(item):
    raise KeyboardInterrupt("pressed")


flow = Dataflow()
flow.input("inp", TestingInput([1]))
flow.map(press)
flow.output("out", TestingOutput(out))
try:
    run_main(flow)
except KeyboardInterrupt as interrupt:
    print("mapper", MESSAGE in str(interrupt), threading.active_count())
