"""Entry points: run a dataflow, on one worker in this thread or on several in threads of their own."""

from __future__ import annotations

import sys

from bytewax import _engine
from bytewax._plan import plan_of
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from bytewax._engine import Net

__all__ = [
    "EpochConfig",
    "PeriodicEpochConfig",
    "TestingEpochConfig",
    "cluster_main",
    "run_main",
    "spawn_cluster",
]

_DEFAULT_EPOCH_US = 10_000_000


class EpochConfig:
    """Base of the epoch settings of Bytewax 0.15. On its own it stands for the default."""


class PeriodicEpochConfig(EpochConfig):
    """A new epoch every so often: what `epoch_interval` says since Bytewax 0.16.

    Args:
        epoch_length: How long an epoch lasts.
    """

    def __init__(self, epoch_length: timedelta) -> None:
        self.epoch_length = epoch_length
        _timedelta_us("epoch_length", epoch_length)


class TestingEpochConfig(EpochConfig):
    """A new epoch after every item: the same as an `epoch_interval` of zero."""

    __test__ = False


def _timedelta_us(name: str, interval: object) -> int:
    from datetime import timedelta  # here, so that a program which names no interval need not load it

    if not isinstance(interval, timedelta):
        msg = f"argument '{name}': expected a `datetime.timedelta`; got {interval!r}"
        raise TypeError(msg)
    if interval < timedelta(0):
        msg = f"invalid epoch interval: argument '{name}' must not be negative; got {interval!r}"
        raise ValueError(msg)
    return interval // timedelta(microseconds=1)


def _epoch_us(epoch_interval: object, epoch_config: object) -> int:
    if epoch_config is None:
        return _DEFAULT_EPOCH_US if epoch_interval is None else _timedelta_us("epoch_interval", epoch_interval)
    if epoch_interval is not None:
        msg = "takes 'epoch_interval' or 'epoch_config', not both"
        raise TypeError(msg)
    if isinstance(epoch_config, PeriodicEpochConfig):
        return _timedelta_us("epoch_length", epoch_config.epoch_length)
    if isinstance(epoch_config, TestingEpochConfig):
        return 0
    if type(epoch_config) is EpochConfig:
        return _DEFAULT_EPOCH_US
    msg = f"argument 'epoch_config': expected an `EpochConfig`; got {epoch_config!r}"
    raise TypeError(msg)


def _check_flow(flow: object) -> None:
    if not isinstance(flow, Dataflow):
        msg = f"argument 'flow': '{type(flow).__name__}' object cannot be converted to 'Dataflow'"
        raise TypeError(msg)


def _check_recovery_config(recovery_config: object) -> None:
    if recovery_config is not None:
        msg = (
            "argument 'recovery_config': this version keeps no state between runs: "
            f"expected None; got {recovery_config!r}"
        )
        raise TypeError(msg)


def _check_addresses(addresses: object) -> list[str]:
    if addresses is None:
        return []
    if isinstance(addresses, (str, bytes)):
        msg = f"argument 'addresses': expected a list of `str`, one for each process; got {addresses!r}"
        raise TypeError(msg)
    try:
        checked: list[str] = list(addresses)  # type: ignore[call-overload]  # else it raises
    except TypeError as ex:
        msg = f"argument 'addresses': expected a list of `str`, one for each process; got {addresses!r}"
        raise TypeError(msg) from ex
    for address in checked:
        if not isinstance(address, str):
            msg = f"argument 'addresses': expected a list of `str`; got {address!r} in it"
            raise TypeError(msg)
    return checked


def _check_count(name: str, value: object) -> int:
    """Return `value` if it is an integer that is not negative."""
    try:
        count = value.__index__()  # type: ignore[attr-defined]  # else it raises
    except AttributeError:
        msg = f"argument '{name}': '{type(value).__name__}' object cannot be interpreted as an integer"
        raise TypeError(msg) from None
    if count < 0:
        msg = f"argument '{name}': can't convert negative int to unsigned; got {count}"
        raise OverflowError(msg)
    return int(count)


def _check_at_least_one(name: str, value: object) -> int:
    count = _check_count(name, value)
    if count == 0:
        msg = f"argument '{name}': must be at least 1; got 0"
        raise ValueError(msg)
    return count


def under_run_script() -> bool:
    """Tell whether this is `python -m bytewax.run`, which runs the dataflow itself."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return getattr(spec, "name", None) == "bytewax.run"


def run_main(
    flow: Dataflow,
    *,
    epoch_interval: timedelta | None = None,
    recovery_config: None = None,
    epoch_config: EpochConfig | None = None,
) -> None:
    """Run a dataflow on one worker, in the calling thread. Returns when all its input is finished.

    Under `python -m bytewax.run` this does nothing: there the dataflow is run for you.

    Args:
        flow: The dataflow.
        epoch_interval: How long an epoch lasts; 10 seconds if not given.
        recovery_config: Must be `None`: this version keeps no state between runs.
        epoch_config: The epoch interval, as Bytewax 0.15 took it.

    Raises:
        TypeError: An argument is of a wrong type, or an input or output of an unknown one.
        ValueError: The dataflow has no input or no output, or the interval is negative.
        KeyboardInterrupt: SIGINT came in.

    An exception in a function, source or sink of the dataflow is raised by its own class, the step
    named, with the original as its `__cause__`. Items before the one that failed have been written.
    """
    if under_run_script():
        return
    run_in_thread(flow, epoch_interval=epoch_interval, recovery_config=recovery_config, epoch_config=epoch_config)


def run_in_thread(
    flow: Dataflow,
    *,
    epoch_interval: timedelta | None = None,
    recovery_config: None = None,
    epoch_config: EpochConfig | None = None,
) -> None:
    """Do what `run_main` does, under `python -m bytewax.run` too."""
    _check_flow(flow)
    epoch_interval_us = _epoch_us(epoch_interval, epoch_config)
    _check_recovery_config(recovery_config)
    _engine.run(plan_of(flow), worker_count=1, epoch_interval_us=epoch_interval_us, threads=False)


def cluster_main(
    flow: Dataflow,
    addresses: list[str] | None,
    proc_id: int,
    *,
    epoch_interval: timedelta | None = None,
    recovery_config: None = None,
    worker_count_per_proc: int = 1,
    epoch_config: EpochConfig | None = None,
) -> None:
    """Run one process of a cluster: workers with threads of their own. Returns when all input is finished.

    Every process of the cluster runs this, with the same dataflow, addresses and number of workers; they may
    start in any order. With addresses that other machines can reach they need a secret or TLS, which the
    environment gives: `BYTEWAX_CLUSTER_SECRET` or `BYTEWAX_CLUSTER_SECRET_FILE`, or
    `BYTEWAX_CLUSTER_TLS_CERT`, `BYTEWAX_CLUSTER_TLS_KEY` and `BYTEWAX_CLUSTER_TLS_CA`.

    Under `python -m bytewax.run` this does nothing: there the dataflow is run for you.

    Args:
        flow: The dataflow.
        addresses: `"host:port"` of each process of the cluster; `None` or `[]` for no port at all.
        proc_id: Which of them this process is, from 0.
        epoch_interval: How long an epoch lasts; 10 seconds if not given.
        recovery_config: Must be `None`: this version keeps no state between runs.
        worker_count_per_proc: How many workers each process has.
        epoch_config: The epoch interval, as Bytewax 0.15 took it.

    Raises:
        TypeError: An argument is of a wrong type.
        ValueError: An argument, or a variable of the environment, is out of range.
        OverflowError: `proc_id` or `worker_count_per_proc` is negative.
        RuntimeError: A worker failed: what happened is its `__cause__`, and on the standard error. Or
            another process did, the message says which. Or the cluster can't be formed: an address is
            wrong or in use, a process does not come or is another one than expected.
        KeyboardInterrupt: SIGINT came in.
    """
    if under_run_script():
        return
    run_in_workers(
        flow,
        addresses,
        proc_id,
        epoch_interval=epoch_interval,
        recovery_config=recovery_config,
        worker_count_per_proc=worker_count_per_proc,
        epoch_config=epoch_config,
    )


def run_in_workers(
    flow: Dataflow,
    addresses: list[str] | None,
    proc_id: int,
    *,
    epoch_interval: timedelta | None = None,
    recovery_config: None = None,
    worker_count_per_proc: int = 1,
    epoch_config: EpochConfig | None = None,
    net: Net | None = None,
) -> None:
    """Do what `cluster_main` does, under `python -m bytewax.run` too.

    `net` is how to find the other processes, if not as the environment says.
    """
    _check_flow(flow)
    addresses = _check_addresses(addresses)
    proc_id = _check_count("proc_id", proc_id)
    process_count = max(1, len(addresses))
    if proc_id >= process_count:
        msg = f"argument 'proc_id': must be less than the number of processes, {process_count}; got {proc_id}"
        raise ValueError(msg)
    worker_count = _check_at_least_one("worker_count_per_proc", worker_count_per_proc)
    epoch_interval_us = _epoch_us(epoch_interval, epoch_config)
    _check_recovery_config(recovery_config)

    if addresses and net is None:
        from bytewax._cluster import net_of

        net = net_of(addresses, proc_id)
    _run_with_net(flow, net, worker_count, epoch_interval_us)


def spawn_cluster(
    flow: Dataflow,
    *,
    epoch_config: EpochConfig | None = None,
    recovery_config: None = None,
    proc_count: int = 1,
    worker_count_per_proc: int = 1,
    mp_ctx: Any = None,
    epoch_interval: timedelta | None = None,
) -> None:
    """Run a dataflow in processes that are started for it on this machine (Bytewax 0.15).

    As with everything that `multiprocessing` starts, the calling program must be guarded by
    `if __name__ == "__main__":`, and what it holds in memory stays there: a process has a copy of the dataflow.
    Under `python -m bytewax.run` this does nothing: there the dataflow is run for you, by `-p` in many processes.

    Args:
        flow: The dataflow. It must pickle; with `cloudpickle` or `dill` installed functions may be lambdas.
        epoch_config: How long an epoch lasts; 10 seconds if not given.
        recovery_config: Must be `None`: this version keeps no state between runs.
        proc_count: How many processes.
        worker_count_per_proc: How many workers each of them has.
        mp_ctx: The context of `multiprocessing` to start them by; that of "spawn" if not given.
        epoch_interval: The epoch interval, as Bytewax 0.16 takes it.

    Raises:
        TypeError: An argument is of a wrong type.
        ValueError: An argument is out of range.
        RuntimeError: A process died, or the dataflow can't be pickled.
        KeyboardInterrupt: SIGINT came in.

    An exception in a function, source or sink of the dataflow is raised here as it was there.
    """
    if under_run_script():
        return
    _check_flow(flow)
    process_count = _check_at_least_one("proc_count", proc_count)
    worker_count = _check_at_least_one("worker_count_per_proc", worker_count_per_proc)
    epoch_interval_us = _epoch_us(epoch_interval, epoch_config)
    _check_recovery_config(recovery_config)

    from bytewax._spawn import run_spawned

    run_spawned(_run_part, flow, process_count, mp_ctx, (worker_count, epoch_interval_us))


def _run_part(flow: Dataflow, net: Net, options: tuple[int, int]) -> None:
    """Run the part of a process that `spawn_cluster` has started."""
    worker_count, epoch_interval_us = options
    _run_with_net(flow, net, worker_count, epoch_interval_us)


def _run_with_net(flow: Dataflow, net: Net | None, worker_count: int, epoch_interval_us: int) -> None:
    try:
        plan = _plan_in_workers(flow)
    except BaseException:
        if net is not None and net["listen_fd"] >= 0:
            import os

            os.close(net["listen_fd"])  # else the engine's
        raise
    _engine.run(plan, worker_count=worker_count, epoch_interval_us=epoch_interval_us, threads=True, net=net)


def _plan_in_workers(flow: Dataflow) -> list[tuple[object, ...]]:
    """Make the plan; a dataflow that has none fails as it would in a worker."""
    try:
        return plan_of(flow)
    except (TypeError, ValueError) as ex:
        import traceback

        traceback.print_exception(ex)
        msg = "Worker thread died; look for errors above"
        raise BytewaxRuntimeError(msg) from ex
