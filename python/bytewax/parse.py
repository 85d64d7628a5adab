"""Arguments of `cluster_main`, from the command line or the environment (Bytewax 0.15)."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["LOG_LEVELS", "cluster_args", "proc_args", "proc_env"]

LOG_LEVELS = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]


def cluster_args(args: Sequence[str] | None = None) -> dict[str, Any]:
    """Parse how many processes and workers to start.

    Args:
        args: The words of the command line; those of this program if not given.

    Returns:
        Keyword arguments `proc_count` (`-n`) and `worker_count_per_proc` (`-w`).

    >>> cluster_args(["-w2", "-n3"])
    {'proc_count': 3, 'worker_count_per_proc': 2}
    """
    parser = ArgumentParser(description="Run a Bytewax cluster")
    parser.add_argument("-n", dest="proc_count", type=int, default=1, help="number of processes to start")
    parser.add_argument("-w", dest="worker_count_per_proc", type=int, default=1, help="workers in each of them")
    return vars(parser.parse_args(args))


def proc_args(args: Sequence[str] | None = None) -> dict[str, Any]:
    """Parse which process of a cluster this is.

    Args:
        args: The words of the command line; those of this program if not given.

    Returns:
        Keyword arguments `worker_count_per_proc` (`-w`), `proc_id` (`-p`) and `addresses` (`-a`, once
        for each process).

    >>> proc_args(["-w2", "-p0", "-a", "localhost:1234", "-a", "localhost:5678"])
    {'worker_count_per_proc': 2, 'proc_id': 0, 'addresses': ['localhost:1234', 'localhost:5678']}
    """
    parser = ArgumentParser(description="Run a process of a Bytewax cluster")
    parser.add_argument("-w", dest="worker_count_per_proc", type=int, default=1, help="workers in this process")
    parser.add_argument("-p", dest="proc_id", type=int, required=True, help="which process this is, from 0")
    parser.add_argument(
        "-a", dest="addresses", action="append", required=True, help="host:port of a process; once for each"
    )
    return vars(parser.parse_args(args))


def read_hostfile(path: str) -> list[str]:
    """Read the addresses of a cluster: one a line, blank lines left out."""
    return [line.strip() for line in Path(path).read_text().splitlines() if line.strip()]


def proc_env(env: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Read from the environment which process of a cluster this is, as a Kubernetes stateful set has it.

    Args:
        env: The environment.

    Returns:
        Keyword arguments `worker_count_per_proc` (`BYTEWAX_WORKERS_PER_PROCESS`), `addresses`
        (`BYTEWAX_ADDRESSES`, with `;` between them, or the lines of the file
        `BYTEWAX_HOSTFILE_PATH`) and `proc_id` (`BYTEWAX_PROCESS_ID`, or `BYTEWAX_POD_NAME` without
        `BYTEWAX_STATEFULSET_NAME`).

    Raises:
        KeyError: A variable is missing.

    >>> env = {
    ...     "BYTEWAX_WORKERS_PER_PROCESS": "2",
    ...     "BYTEWAX_ADDRESSES": "localhost:1234;localhost:5678",
    ...     "BYTEWAX_POD_NAME": "stateful_name-0",
    ...     "BYTEWAX_STATEFULSET_NAME": "stateful_name",
    ... }
    >>> proc_env(env)
    {'worker_count_per_proc': 2, 'proc_id': 0, 'addresses': ['localhost:1234', 'localhost:5678']}
    """
    worker_count_per_proc = int(env["BYTEWAX_WORKERS_PER_PROCESS"])
    if "BYTEWAX_ADDRESSES" in env:
        addresses = env["BYTEWAX_ADDRESSES"].split(";")
    else:
        addresses = read_hostfile(env["BYTEWAX_HOSTFILE_PATH"])
    if "BYTEWAX_PROCESS_ID" in env:
        proc_id = int(env["BYTEWAX_PROCESS_ID"])
    else:
        proc_id = proc_id_of_pod(env["BYTEWAX_POD_NAME"], env["BYTEWAX_STATEFULSET_NAME"])
    return {"worker_count_per_proc": worker_count_per_proc, "proc_id": proc_id, "addresses": addresses}


def proc_id_of_pod(pod_name: str, stateful_set_name: str) -> int:
    """Take the number at the end of a pod's name."""
    return int(pod_name.replace(f"{stateful_set_name}-", "", 1))
