"""The processes of `spawn_cluster`: started by `multiprocessing`, or threads where its context makes those.

Each child gets the dataflow, its place in the cluster and a pipe; into that it puts how its run ended. A child
that could not even do that leaves an end of file.
"""

from __future__ import annotations

import importlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, NamedTuple

from bytewax._cluster import local_net
from bytewax._local_cluster import (
    INTERRUPTED,
    address_of,
    bind_local,
    close_all,
    describe_exit,
    die_with,
    new_secret,
    take_double_signals_for_one,
)
from bytewax.errors import BytewaxRuntimeError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

__all__ = ["run_spawned"]

_PATIENCE_S = 5.0  # for processes that have no reason to go on
_INTERRUPT_PATIENCE_S = 5.0


class _Place(NamedTuple):
    """What a child needs to know to find the others."""

    process_id: int
    addresses: list[str]
    secret: bytes
    listener: socket.socket


class _Failure(NamedTuple):
    """How a child's run failed."""

    began_here: bool
    exception: bytes | None  # pickled; None if that can't be done
    text: str  # with its traceback


class _Child(NamedTuple):
    process_id: int
    process: Any  # a Process of the context
    result: Any  # a Connection to read from


def run_spawned(target: Callable[..., None], flow: Any, process_count: int, context: Any, options: Any) -> None:
    """Run a dataflow in processes of their own, which form a cluster on this machine.

    Args:
        target: What runs a part, in the child: `target(flow, net, options)`.
        flow: The dataflow.
        process_count: How many processes.
        context: A context of `multiprocessing`, or what looks like one; None for that of "spawn".
        options: Passed on.

    Raises:
        What the dataflow raised, with the child's traceback as its cause; a RuntimeError where that can't be
        brought here.
    """
    if context is None:
        context = multiprocessing.get_context("spawn")
    in_threads = issubclass(context.Process, threading.Thread)
    packed = flow if in_threads or context.get_start_method() == "fork" else _Packed(_pack(flow))
    children: list[_Child] = []
    try:
        _start(children, context, in_threads, process_count, (target, packed, options))
        failures = _wait_threads(children) if in_threads else _wait_processes(children)
    except KeyboardInterrupt:
        if not in_threads:
            _interrupt(children)
        raise KeyboardInterrupt(INTERRUPTED) from None
    finally:
        if not in_threads:
            _clean_up(children)
    if failures:
        _raise_first(failures)


# --- the parent ---------------------------------------------------------------------------------------


class _Packed(NamedTuple):
    flow: bytes


def _pack(flow: Any) -> bytes:
    """Pickle a dataflow, by what can: functions that have no name to be imported by need more than pickle."""
    picklers = ["pickle", "cloudpickle", "dill"]
    if not hasattr(sys.modules["__main__"], "__file__"):
        picklers.append(picklers.pop(0))  # what was typed in can't be imported by a child, though pickle thinks so
    errors = []
    for name in picklers:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        try:
            packed: bytes = module.dumps(flow)
        except Exception as ex:  # pickling runs the user's code: it raises anything
            errors.append(ex)
        else:
            return packed
    msg = (
        f"the dataflow can't be pickled to be sent to other processes: {errors[0]!r}. Functions without a name, such "
        "as lambdas, need `cloudpickle` or `dill` to be installed"
    )
    raise BytewaxRuntimeError(msg) from errors[0]


def _start(children: list[_Child], context: Any, in_threads: bool, process_count: int, args: tuple[Any, ...]) -> None:
    listeners = bind_local(process_count)
    try:
        addresses, secret = [address_of(listener) for listener in listeners], new_secret()
        for process_id, listener in enumerate(listeners):
            place = _Place(process_id, addresses, secret, listener)
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(
                target=_run_child, args=(*args, place, sender, in_threads), name=f"bytewax-process-{process_id}"
            )
            if in_threads:
                process.daemon = True  # one that is left behind by an interrupt doesn't hold up the interpreter
            process.start()
            children.append(_Child(process_id, process, receiver))
            if not in_threads:  # the child has its own of both
                sender.close()
                listener.close()
    except BaseException:
        close_all(listeners)
        raise


def _wait_threads(children: list[_Child]) -> dict[int, _Failure]:
    results = {child.process_id: child.result.recv() for child in children}
    for child in children:
        child.process.join()
    return {index: result for index, result in results.items() if result is not None}


def _wait_processes(children: list[_Child]) -> dict[int, _Failure]:
    """Wait for the results of all; once one has failed, for those of the others not for ever."""
    failures: dict[int, _Failure] = {}
    waiting = {child.result: child for child in children}
    deadline_s = float("inf")
    while waiting:
        left_s = deadline_s - time.monotonic()
        ready = multiprocessing.connection.wait(list(waiting), None if left_s == float("inf") else max(left_s, 0))
        if not ready:
            break
        for connection in ready:
            child = waiting.pop(connection)
            failure = _receive(child)
            if failure is not None:
                failures[child.process_id] = failure
                deadline_s = min(deadline_s, time.monotonic() + _PATIENCE_S)
    return failures


def _receive(child: _Child) -> _Failure | None:
    try:
        result: _Failure | None = child.result.recv()
    except (EOFError, OSError):
        child.process.join()
        what = f"process {child.process_id} (pid {child.process.pid}) {describe_exit(child.process.exitcode)}"
        return _Failure(began_here=True, exception=None, text=what)
    return result


def _interrupt(children: list[_Child]) -> None:
    for child in children:
        if child.process.is_alive():
            os.kill(child.process.pid, signal.SIGINT)
    deadline_s = time.monotonic() + _INTERRUPT_PATIENCE_S
    for child in children:
        child.process.join(max(0.0, deadline_s - time.monotonic()))


def _clean_up(children: list[_Child]) -> None:
    """Kill what still runs: either all have given their result, or nobody waits for it any more."""
    for child in children:
        if multiprocessing.connection.wait([child.result], 0):
            child.process.join(_PATIENCE_S)
        child.process.kill()
        child.process.join()
        child.process.close()
        child.result.close()


def _raise_first(failures: dict[int, _Failure]) -> None:
    """Raise what all of it began with."""
    index = min(failures, key=lambda index: (not failures[index].began_here, index))
    failure = failures[index]
    cause = BytewaxRuntimeError(f"in process {index}:\n{failure.text}")
    if failure.exception is None:
        raise BytewaxRuntimeError(failure.text.rstrip().rpartition("\n")[2]) from cause
    raise pickle.loads(failure.exception) from cause


# --- the child ----------------------------------------------------------------------------------------


def _run_child(
    target: Callable[..., None], packed: Any, options: Any, place: _Place, result: Any, in_thread: bool
) -> None:
    if not in_thread:
        _be_a_child()
    try:
        flow = pickle.loads(packed.flow) if isinstance(packed, _Packed) else packed
        net = local_net(place.addresses, place.process_id, place.secret, place.listener.detach())
        target(flow, net, options)
    except BaseException as ex:
        result.send(_failure_of(ex))
        if not in_thread:
            sys.exit(1)
    else:
        result.send(None)


def _be_a_child() -> None:
    """End with the parent, and by a single interrupt."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        die_with(os.dup(parent.sentinel))
    take_double_signals_for_one()


def _failure_of(exception: BaseException) -> _Failure:
    """Pack what a run has raised: rather what a function of the user's did, as it is raised by `run_main`."""
    text = "".join(traceback.format_exception(exception))
    cause = exception.__cause__ if isinstance(exception, BytewaxRuntimeError) else None
    candidates = [exception] if cause is None else [cause, cause.__cause__]
    for candidate in candidates:
        try:
            pickled = pickle.dumps(candidate)
            again = pickle.loads(pickled)  # some exceptions can't be made again from what they give
        except Exception:  # the user's code, once more
            continue
        if isinstance(again, BaseException):
            return _Failure(cause is not None, pickled, text)
    return _Failure(cause is not None, None, text)
