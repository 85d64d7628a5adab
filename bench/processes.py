"""A measurement by several processes: they get ready, begin together, and what they say is added up."""

import json
import os
import random
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

HEAD_START_S = 1.5  # of all but one, where the time is measured that the last one waits


def measure(want: dict[str, Any], make_input: Callable[..., Any], evaluate: Callable[..., Any]) -> dict[str, Any]:
    """Run a job on `want["processes"]` processes of this interpreter, connected with a secret."""
    addresses = free_addresses(want["processes"])
    with ExitStack() as stack:
        items, _ = make_input(want, stack)  # as each of them makes it, too
        env = {**os.environ, "BYTEWAX_CLUSTER_SECRET": secrets.token_hex()}
        commands = [
            [sys.executable, str(Path(__file__).with_name("child.py")), json.dumps({**want, "place": [addresses, i]})]
            for i in range(want["processes"])
        ]
        results = run_together(commands, env, late=want["job"] == "first_poll")
    out = [item for result in results for item in result["out"]]
    figures = together(results, items)
    if want["job"] == "first_poll":
        figures["setup"] = (max(out) - max(result["start"] for result in results)) / 1e6
    if out and isinstance(out[0], str):  # digests
        return {**figures, "digest": sum(map(int, out))}
    return {**figures, **evaluate(want["job"], out, items)}


def together(results: list[dict[str, Any]], items: float) -> dict[str, Any]:
    """CPU time of all, and wall time from the start of the first to the end of the last, per item."""
    cpu = sum(result["cpu"] for result in results)
    wall = max(result["end"] for result in results) - min(result["start"] for result in results)
    return {"cpu": cpu / items, "wall": wall / items}


def wait_for_the_others() -> None:
    print("ready", flush=True)
    if sys.stdin.readline() != "go\n":
        sys.exit("the parent is gone")


def run_together(commands: list[list[str]], env: dict[str, str], *, late: bool = False) -> list[dict[str, Any]]:
    """Start processes, let them begin when all are ready, and return what each says. `late`: the first begins last."""
    with ExitStack() as stack:
        children = []
        for command in commands:
            child = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.callback(end, child)
            children.append(child)
        for child in children:
            if child.stdout.readline() != "ready\n":
                sys.exit("a process did not get ready")
        for child in reversed(children):
            if late and child is children[0]:
                time.sleep(HEAD_START_S)
            child.stdin.write("go\n")
            child.stdin.flush()
        said = [wait_for_json(child) for child in children]
        codes = [child.wait() for child in children]
        if any(codes):
            sys.exit(f"exit codes {codes}")
    return [json.loads(line) for line in said]


def wait_for_json(child: "subprocess.Popen[str]") -> str:
    """The line that tells the result; others tell of connections."""
    for line in child.stdout:
        if line.startswith("{"):
            return line
    sys.exit(f"a process ended without a result, by {child.wait()}")


def end(child: "subprocess.Popen[str]") -> None:
    """Whatever has happened: none is left behind."""
    child.kill()
    child.communicate()


def free_addresses(count: int) -> list[str]:
    addresses: set[str] = set()
    while len(addresses) < count:
        port = random.SystemRandom().randrange(10_000, 32_000)  # below those that the system gives out
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        addresses.add(f"127.0.0.1:{port}")
    return [*addresses]
