"""Run a dataflow from the command line: `python -m bytewax.run IMPORT_STR`.

`IMPORT_STR` is a module or the path of a file, then if need be `:` and the variable that holds the
dataflow (`flow` if not given) or a call of a function that returns it, with literal arguments:
`examples.basic`, `examples/basic.py:flow`, `"examples.basic:get_flow('input.txt', 2)"`. The older way to
say the same is `FILE_PATH -d NAME --dataflow-args ARG...`.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import signal
import sys
import traceback
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bytewax import _local_cluster
from bytewax._cluster import net_of, timeouts
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.execution import run_in_thread, run_in_workers
from bytewax.parse import proc_id_of_pod, read_hostfile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType, TracebackType

    from bytewax._engine import Net

__all__ = ["cli_main"]

_DEFAULT_NAME = "flow"
_DEFAULT_EPOCH_S = 10.0
_NO_RECOVERY = "recovery is not supported by this version"


def cli_main(
    flow: Dataflow,
    *,
    processes: int | None = 1,
    workers_per_process: int | None = 1,
    process_id: int | None = None,
    addresses: list[str] | None = None,
    epoch_interval: float | None = None,
    recovery_config: None = None,
) -> None:
    """Run a dataflow as `python -m bytewax.run` does.

    One worker runs in this thread; more of them, or with a `process_id`, in threads of their own. Several
    processes are started from the command line of this program: each of them comes to this call and
    runs its part of the dataflow there, while this process waits for all.

    Args:
        flow: The dataflow.
        processes: How many processes to start.
        workers_per_process: How many workers each of them has.
        process_id: Which process of a cluster this is, from 0; it starts no others then.
        addresses: `"host:port"` of each process of the cluster; not used without a `process_id`.
        epoch_interval: How many seconds an epoch lasts; 10 if not given.
        recovery_config: Must be `None`: this version keeps no state between runs.

    Raises:
        RuntimeError: `processes` is given together with `process_id` or `addresses`; or a process failed.
        ValueError: An argument is out of range.
        KeyboardInterrupt: SIGINT came in.
        SystemExit: SIGTERM came in, and ended all processes.
    """
    if processes not in (None, 1):
        if process_id is not None or addresses is not None:
            msg = "Can't specify both 'processes' and 'process_id/addresses'"
            raise RuntimeError(msg)
        if processes < 1:
            msg = f"argument 'processes': must be at least 1; got {processes!r}"
            raise ValueError(msg)
        net = _local_cluster.take_place()
        if net is None:
            _run_children(processes)
            return
    else:
        net = None
    _run_part(
        flow,
        net,
        addresses if process_id is not None else None,
        process_id,
        worker_count=1 if workers_per_process is None else workers_per_process,
        epoch_interval=epoch_interval,
        recovery_config=recovery_config,
    )


def _run_children(process_count: int) -> None:
    main = sys.modules["__main__"]
    is_module = getattr(main, "__spec__", None) is not None
    if not is_module and not os.path.exists(getattr(main, "__file__", "")) and "-c" not in sys.orig_argv:
        msg = "an interactive session can't be started again in several processes; use `spawn_cluster`"
        raise BytewaxRuntimeError(msg)
    failures = _local_cluster.run_children(process_count)
    if failures:
        msg = f"{'; '.join(failures)}; look for errors above"
        raise BytewaxRuntimeError(msg)


def _run_part(
    flow: Dataflow,
    net: Net | None,
    addresses: list[str] | None,
    process_id: int | None,
    *,
    worker_count: int,
    epoch_interval: float | None,
    recovery_config: None = None,
) -> None:
    """Run what this process has of a dataflow, with others if it knows `net` or `addresses`."""
    interval = None if epoch_interval is None else timedelta(seconds=epoch_interval)
    if net is not None:
        addresses, process_id = list(net["addresses"]), net["process_id"]
    if process_id is None and worker_count == 1:
        run_in_thread(flow, epoch_interval=interval, recovery_config=recovery_config)
    else:
        run_in_workers(
            flow,
            addresses,
            process_id or 0,
            epoch_interval=interval,
            recovery_config=recovery_config,
            worker_count_per_proc=worker_count,
            net=net,
        )


class _EnvDefault(argparse.Action):
    """Takes its default from an environment variable, which the help text names."""

    def __init__(self, *args: Any, env: str, **kwargs: Any) -> None:
        kwargs["help"] += f" [env: {env}]"
        kwargs["default"] = os.environ.get(env, kwargs.get("default"))
        super().__init__(*args, **kwargs)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)


def _positive_int(text: str) -> int:
    number = int(text)
    if number < 1:
        msg = f"must be at least 1; got {text}"
        raise argparse.ArgumentTypeError(msg)
    return number


def _process_id(text: str) -> int:
    number = int(text)
    if number < 0:
        msg = f"must be at least 0; got {text}"
        raise argparse.ArgumentTypeError(msg)
    return number


def _seconds(text: str) -> float:
    number = float(text)
    try:
        interval = timedelta(seconds=number)
    except OverflowError as ex:
        msg = f"must be shorter; got {text}"
        raise argparse.ArgumentTypeError(msg) from ex
    if interval < timedelta(0):
        msg = f"must not be negative; got {text}"
        raise argparse.ArgumentTypeError(msg)
    return number


_positive_int.__name__ = _process_id.__name__ = "int"  # how messages call what they expect
_seconds.__name__ = "float"


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bytewax.run", description="Run a bytewax dataflow")
    parser.add_argument(
        "import_str",
        help="where the dataflow is: <module or file>[:<variable or call of a factory>], for example "
        "src.dataflow, src/dataflow.py:flow or \"src.dataflow:get_flow('string argument')\"",
    )
    parser.add_argument(
        "-d", "--dataflow-name", metavar="NAME", help="variable or factory, instead of one in IMPORT_STR"
    )
    parser.add_argument("--dataflow-args", metavar="ARG", nargs="*", help="arguments for the factory, each a string")

    scaling = parser.add_argument_group(
        "Scaling",
        "How many workers run the dataflow, here or in a cluster. "
        "-p starts all of its processes on this machine, -i and -a make this one a process of it.",
    )
    scaling.add_argument(
        "-p",
        "--processes",
        type=_positive_int,
        action=_EnvDefault,
        env="BYTEWAX_PROCESSES",
        help="number of processes to start on this machine",
    )
    scaling.add_argument(
        "-w",
        "--workers-per-process",
        type=_positive_int,
        action=_EnvDefault,
        env="BYTEWAX_WORKERS_PER_PROCESS",
        help="number of workers in each process",
    )
    scaling.add_argument(
        "-i",
        "--process-id",
        type=_process_id,
        action=_EnvDefault,
        env="BYTEWAX_PROCESS_ID",
        help="which process of a cluster this is, from 0",
    )
    scaling.add_argument(
        "-a",
        "--addresses",
        action=_EnvDefault,
        env="BYTEWAX_ADDRESSES",
        help="host:port of each process of the cluster, with semicolons between them, "
        "for example 'host1:2101;host2:2101'",
    )

    recovery = parser.add_argument_group("Recovery", "Not supported by this version; epochs are.")
    recovery.add_argument("-r", "--recovery", choices=["kafka", "sqlite"], help="where to keep state")
    recovery.add_argument(
        "--sqlite-directory",
        action=_EnvDefault,
        env="BYTEWAX_SQLITE_DIRECTORY",
        help="directory to keep state in",
    )
    recovery.add_argument("--kafka-brokers", metavar="BROKER", nargs="*", help="brokers to keep state in")
    recovery.add_argument("--kafka-topic", help="prefix of the topics to keep state in")
    recovery.add_argument(
        "--epoch-interval",
        type=_seconds,
        default=_DEFAULT_EPOCH_S,
        action=_EnvDefault,
        env="BYTEWAX_EPOCH_INTERVAL",
        help="how many seconds an epoch lasts",
    )
    return parser


def _refuse_what_comes_later(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.recovery or args.sqlite_directory or args.kafka_brokers is not None or args.kafka_topic:
        parser.error(f"{_NO_RECOVERY}: -r, --sqlite-directory, --kafka-brokers and --kafka-topic can't be given")


def _split_addresses(addresses: str | None) -> list[str] | None:
    """Take the addresses apart, blanks between and around them left out."""
    if addresses is None:
        return None
    return [address.strip() for address in addresses.split(";") if address.strip()]


def _find_this_process(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Fill in what the variables of a Kubernetes stateful set say of this process and its peers."""
    env = os.environ
    if args.process_id is None and "BYTEWAX_POD_NAME" in env and "BYTEWAX_STATEFULSET_NAME" in env:
        try:
            args.process_id = proc_id_of_pod(env["BYTEWAX_POD_NAME"], env["BYTEWAX_STATEFULSET_NAME"])
        except ValueError:
            parser.error(
                "BYTEWAX_POD_NAME must be BYTEWAX_STATEFULSET_NAME, '-' and a number; got "
                f"{env['BYTEWAX_POD_NAME']!r} and {env['BYTEWAX_STATEFULSET_NAME']!r}"
            )
    if args.process_id is not None and args.addresses is None:
        if "BYTEWAX_HOSTFILE_PATH" not in env:
            parser.error("the addresses option is required if a process_id is passed")
        try:
            args.addresses = ";".join(read_hostfile(env["BYTEWAX_HOSTFILE_PATH"]))
        except OSError as ex:
            parser.error(f"BYTEWAX_HOSTFILE_PATH: {ex}")
    if args.processes is not None and (args.process_id is not None or args.addresses is not None):
        warnings.warn(
            "Both '-p' and '-a/-i' specified. Ignoring '-p': a process of a cluster starts no others",
            UserWarning,
            stacklevel=3,
        )
        args.processes = None


def _parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Returns:
        What it says. `import_str` is brought into the form `package.module:attribute or call`, and the
        directory that this is to be imported from put at the front of `sys.path`.
    """
    parser = _make_parser()
    args = parser.parse_args(argv)
    _find_this_process(parser, args)
    module_name, attribute = _prepare_import(args.import_str)
    if args.dataflow_name is not None or args.dataflow_args is not None:
        if ":" in args.import_str:
            parser.error("-d and --dataflow-args can't be given together with ':' in IMPORT_STR")
        attribute = args.dataflow_name or attribute
        if args.dataflow_args is not None:
            attribute += f"({', '.join(map(repr, args.dataflow_args))})"
    args.import_str = f"{module_name}:{attribute}"
    return args


def _prepare_import(import_str: str) -> tuple[str, str]:
    """Find the name to import a module by, and make it importable.

    Args:
        import_str: A dotted module name or a path, then if need be `:` and what to take from it.

    Returns:
        The dotted name, and what to take from it. The directory that the name is relative to is now
        the first of `sys.path`.
    """
    place, _, attribute = import_str.partition(":")
    path = os.path.realpath(place)
    path = path.removesuffix(".py")
    folder, name = os.path.split(path)
    if name == "__init__":
        folder, name = os.path.split(folder)
    names = [name]
    while os.path.exists(os.path.join(folder, "__init__.py")):
        folder, name = os.path.split(folder)
        names.insert(0, name)
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    return ".".join(names), attribute or _DEFAULT_NAME


def _locate_dataflow(module_name: str, dataflow_name: str) -> Dataflow:
    """Import a module, and take a dataflow from it.

    Args:
        module_name: Dotted name of the module.
        dataflow_name: A variable, or a call of one with literal arguments.

    Returns:
        The dataflow.

    Raises:
        ImportError: There is no such module, or it imports something that there isn't.
        SyntaxError: `dataflow_name` is no expression.
        ValueError: It is neither a name nor a call, or its arguments aren't literal.
        TypeError: It calls something that is not a name, or with wrong arguments.
        AttributeError: The module has no such name.
        RuntimeError: What is found is not a dataflow.
    """
    module = _import_module(module_name)
    name, args, kwargs = _parse_attribute(dataflow_name)
    try:
        found = getattr(module, name)
    except AttributeError as ex:
        msg = f"Failed to find attribute {name!r} in {module_name!r}."
        raise AttributeError(msg) from ex
    is_call = args is not None
    if is_call or (callable(found) and not isinstance(found, Dataflow)):
        found = _call_factory(found, args or [], kwargs, dataflow_name, module_name)
    if not isinstance(found, Dataflow):
        msg = f"A valid Bytewax dataflow was not obtained from '{module_name}:{dataflow_name}'."
        raise RuntimeError(msg)  # the class that programs know
    return found


def _import_module(module_name: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ImportError as ex:
        if isinstance(ex, ModuleNotFoundError) and _is_or_holds(ex.name, module_name):
            msg = f"Could not import {module_name!r}."
            raise ImportError(msg) from None
        msg = f"While importing {module_name!r}, an ImportError was raised:\n\n{traceback.format_exc()}"
        raise ImportError(msg) from None


def _is_or_holds(name: str | None, module_name: str) -> bool:
    """Tell whether `name` is that of the module or of a package around it."""
    return name is not None and f"{module_name}.".startswith(f"{name}.")


def _parse_attribute(text: str) -> tuple[str, list[Any] | None, dict[str, Any]]:
    """Take apart a name, or a call of one.

    Returns:
        The name; the positional arguments, or `None` if it is no call; the keyword arguments.
    """
    try:
        expression = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as ex:
        msg = f"Failed to parse {text!r} as an attribute name or function call."
        raise SyntaxError(msg) from ex
    if isinstance(expression, ast.Name):
        return expression.id, None, {}
    if not isinstance(expression, ast.Call):
        msg = f"Failed to parse {text!r} as an attribute name or function call."
        raise ValueError(msg)  # the class that programs know
    if not isinstance(expression.func, ast.Name):
        msg = f"Function reference must be a simple name: {text!r}."
        raise TypeError(msg)
    try:
        args = [ast.literal_eval(arg) for arg in expression.args]
        kwargs = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in expression.keywords}
    except ValueError as ex:
        msg = f"Failed to parse arguments as literal values: {text!r}."
        raise ValueError(msg) from ex
    return expression.func.id, args, kwargs


def _call_factory(
    factory: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], text: str, module_name: str
) -> Any:
    try:
        return factory(*args, **kwargs)
    except TypeError as ex:
        inside = ex.__traceback__ is not None and ex.__traceback__.tb_next is not None
        if inside:  # the factory itself was reached
            raise
        place = f"The factory {text!r} in module {module_name!r}"
        msg = f"{place} could not be called with the specified arguments."
        raise TypeError(msg) from ex


def _end_on_sigterm(_signum: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal.SIGTERM)


def _net(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Net | None:
    """Say how to find the other processes of the cluster that the command line gives; None if it gives none."""
    addresses = _split_addresses(args.addresses)
    if args.process_id is None or not addresses:
        return None
    if args.process_id >= len(addresses):
        parser.error(
            f"argument -i/--process-id: must be less than the number of addresses, {len(addresses)}; "
            f"got {args.process_id}"
        )
    try:
        return net_of(addresses, args.process_id)
    except ValueError as ex:
        parser.error(str(ex))


def _run_local_cluster(parser: argparse.ArgumentParser, process_count: int) -> None:
    try:
        timeouts()  # said once here, not by each child
    except ValueError as ex:
        parser.error(str(ex))
    if _local_cluster.run_children(process_count):
        sys.exit(1)


def _main() -> None:
    signal.signal(signal.SIGTERM, _end_on_sigterm)
    net = _local_cluster.take_place()
    args = _parse_args()
    parser = _make_parser()
    _refuse_what_comes_later(parser, args)
    if net is None and args.processes not in (None, 1):
        _run_local_cluster(parser, args.processes)
        return
    if net is None:
        _run_located(args, _net(parser, args))
    else:
        _run_as_child(args, net)


def _run_located(args: argparse.Namespace, net: Net | None) -> None:
    module_name, _, dataflow_name = args.import_str.partition(":")
    _run_part(
        _locate_dataflow(module_name, dataflow_name),
        net,
        [],
        args.process_id,
        worker_count=args.workers_per_process or 1,
        epoch_interval=args.epoch_interval,
    )


def _run_as_child(args: argparse.Namespace, net: Net) -> None:
    """Run a part of a local cluster. Its processes share one standard error: all is said once, and in one piece."""
    sys.excepthook = _print_in_one_piece
    try:
        _run_located(args, net)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)  # the parent says it
    except BytewaxRuntimeError as ex:
        # A worker's traceback was printed where it failed, and stands in the message of the other processes.
        what, _, _ = str(ex).partition("\nTraceback ")
        _print_error(f"bytewax.run: process {net['process_id']}: {what}\n")
        sys.exit(1)


def _print_in_one_piece(kind: type[BaseException], exception: BaseException, where: TracebackType | None) -> None:
    _print_error("".join(traceback.format_exception(kind, exception, where)))


def _print_error(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(text)
        sys.stderr.flush()


if __name__ == "__main__":
    _main()
