"""What a process must know to find the others of its cluster, from arguments and the environment.

| variable | says |
| --- | --- |
| `BYTEWAX_CLUSTER_SECRET` | what all processes of the cluster know and nobody else does |
| `BYTEWAX_CLUSTER_SECRET_FILE` | or the file that it stands in |
| `BYTEWAX_CLUSTER_TLS_CERT`, `_KEY`, `_CA` | PEM files for TLS: of this process, and of who signs for all |
| `BYTEWAX_CLUSTER_INSECURE` | `1`: go without both, on addresses that others can reach |
| `BYTEWAX_CLUSTER_CONNECT_TIMEOUT` | seconds until all must be there, 300; 0: for ever |
| `BYTEWAX_CLUSTER_TIMEOUT` | seconds of silence after which a process is gone, 10 |
"""

from __future__ import annotations

import os
import sys

from bytewax.errors import BytewaxRuntimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bytewax._engine import Net

__all__ = ["local_net", "net_of", "timeouts"]

_SECRET = "BYTEWAX_CLUSTER_SECRET"
_SECRET_FILE = "BYTEWAX_CLUSTER_SECRET_FILE"
_TLS = ("BYTEWAX_CLUSTER_TLS_CERT", "BYTEWAX_CLUSTER_TLS_KEY", "BYTEWAX_CLUSTER_TLS_CA")
_INSECURE = "BYTEWAX_CLUSTER_INSECURE"
_MAX_SECRET_BYTES = 65_536
_MAX_TIMEOUT_S = 1e9  # thirty years; what the engine counts in nanoseconds holds more


def net_of(addresses: Sequence[str], process_id: int, env: Mapping[str, str] = os.environ) -> Net:
    """Say what `_engine.run` is to know of the other processes.

    Args:
        addresses: `"host:port"` of each process; one at least.
        process_id: Which of them this one is.
        env: The environment.

    Raises:
        ValueError: A variable says what it can't mean, or goes ill with another.
        BytewaxRuntimeError: An address is none, or the cluster has no protection where others can reach it.
    """
    for index, address in enumerate(addresses):
        _check_address(index, address)
    secret, tls = _secret(env), _tls(env)
    connect_s, silence_s = timeouts(env)
    # Where there is but one process nobody is let in.
    if not secret and tls is None and len(addresses) > 1:
        _check_unprotected(addresses, env)
    return {
        "process_id": process_id,
        "addresses": addresses,
        "listen_fd": -1,
        "secret": secret,
        "tls": tls,
        "connect_timeout": connect_s,
        "timeout": silence_s,
    }


def local_net(
    addresses: Sequence[str], process_id: int, secret: bytes, listen_fd: int, env: Mapping[str, str] = os.environ
) -> Net:
    """Say the same for a cluster that was started here as a whole: its secret and sockets are given."""
    connect_s, silence_s = timeouts(env)
    return {
        "process_id": process_id,
        "addresses": addresses,
        "listen_fd": listen_fd,
        "secret": secret,
        "tls": None,
        "connect_timeout": connect_s,
        "timeout": silence_s,
    }


def timeouts(env: Mapping[str, str] = os.environ) -> tuple[float, float]:
    """Read how long to wait for the others to come, and for a sign of life; ValueError if that is no number."""
    connect_s = _seconds("BYTEWAX_CLUSTER_CONNECT_TIMEOUT", 300.0, env)
    silence_s = _seconds("BYTEWAX_CLUSTER_TIMEOUT", 10.0, env)
    if silence_s == 0:
        msg = "BYTEWAX_CLUSTER_TIMEOUT: must be more than 0 seconds; got 0"
        raise ValueError(msg)
    return connect_s, silence_s


def _seconds(name: str, default: float, env: Mapping[str, str]) -> float:
    text = _variable(name, env)
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MAX_TIMEOUT_S:  # nor nan
        msg = f"{name}: expected a number of seconds; got {text!r}"
        raise ValueError(msg)
    return seconds


def _variable(name: str, env: Mapping[str, str]) -> str | None:
    """Read a variable. An empty one is an error: protection must not vanish where a script fills in nothing."""
    text = env.get(name)
    if text == "":
        msg = f"{name}: is set, but empty; unset it if it is not wanted"
        raise ValueError(msg)
    return text


# --- addresses ----------------------------------------------------------------------------------------


def _split(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):  # IPv6, as in a URL
        host = host[1:-1]
    if not colon or not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        msg = f"invalid socket address: expected 'host:port'; got {address!r}"
        raise ValueError(msg)
    return host, int(port)


def _check_address(index: int, address: str) -> None:
    try:
        _split(address)
    except ValueError as ex:
        msg = f"error building timely communication pipeline: process {index}: {ex}"
        raise BytewaxRuntimeError(msg) from ex


def _check_unprotected(addresses: Sequence[str], env: Mapping[str, str]) -> None:
    """Refuse to run without secret and TLS where others can connect."""
    if _is_insecure(env):
        _warn(
            f"{_INSECURE}=1: the cluster has neither a secret nor TLS. Whoever can reach its ports can read and "
            "forge what its processes send each other, and run code in them"
        )
        return
    for index, address in enumerate(addresses):
        for number in _resolve(index, address):
            if not _is_loopback(number):
                known_as = "" if number in address else f" ({number})"
                msg = (
                    f"the cluster has no secret, but the address of process {index}, {address!r}{known_as}, can be "
                    f"reached from other machines. Give all processes the same secret ({_SECRET} or {_SECRET_FILE}), "
                    f"or certificates for TLS ({', '.join(_TLS)}), or say {_INSECURE}=1 to run without"
                )
                raise BytewaxRuntimeError(msg)


def _is_insecure(env: Mapping[str, str]) -> bool:
    text = env.get(_INSECURE, "")
    if text not in ("", "0", "1"):
        msg = f"{_INSECURE}: expected 1 or 0; got {text!r}"
        raise ValueError(msg)
    return text == "1"


def _resolve(index: int, address: str) -> Iterator[str]:
    import socket

    host, port = _split(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as ex:  # a name may be one that can't even be asked for
        reason = ex.strerror if isinstance(ex, OSError) else ex
        msg = (
            f"error building timely communication pipeline: process {index} at {address!r}: failed to lookup "
            f"address information: {reason}. Without a secret or TLS every address must be known to be a "
            "loopback one"
        )
        raise BytewaxRuntimeError(msg) from ex
    for _, _, _, _, resolved in found:
        yield str(resolved[0])


def _is_loopback(number: str) -> bool:
    import ipaddress

    return ipaddress.ip_address(number).is_loopback


# --- secret and certificates --------------------------------------------------------------------------


def _secret(env: Mapping[str, str]) -> bytes:
    """Read the secret; empty if there is none."""
    text, path = _variable(_SECRET, env), _variable(_SECRET_FILE, env)
    if text is not None and path is not None:
        msg = f"{_SECRET} and {_SECRET_FILE}: only one of them can be set"
        raise ValueError(msg)
    if path is not None:
        return _strip_newline(_SECRET_FILE, _read_secret(path))
    return b"" if text is None else _strip_newline(_SECRET, os.fsencode(text))


def _strip_newline(name: str, secret: bytes) -> bytes:
    """Take off the newline that editors and `echo` put at the end."""
    secret = secret.removesuffix(b"\n").removesuffix(b"\r")
    if not secret:
        msg = f"{name}: the secret is empty"
        raise ValueError(msg)
    return secret


def _read_secret(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            secret = file.read(_MAX_SECRET_BYTES + 1)
    except OSError as ex:
        msg = f"{_SECRET_FILE}: can't read {path!r}: {ex.strerror}"
        raise ValueError(msg) from ex
    if len(secret) > _MAX_SECRET_BYTES:
        msg = f"{_SECRET_FILE}: expected a secret of at most {_MAX_SECRET_BYTES} bytes; {path!r} is longer"
        raise ValueError(msg)
    if mode & 0o004:
        _warn(f"{_SECRET_FILE}: every user of this machine can read {path!r}; `chmod o-r` makes it a secret")
    return secret


def _tls(env: Mapping[str, str]) -> tuple[str, str, str] | None:
    cert, key, ca = [_variable(name, env) for name in _TLS]
    if cert is not None and key is not None and ca is not None:
        return cert, key, ca
    missing = [name for name in _TLS if name not in env]
    if len(missing) < len(_TLS):
        msg = f"TLS needs all of {', '.join(_TLS)}; missing: {', '.join(missing)}"
        raise ValueError(msg)
    return None


def _warn(text: str) -> None:
    if sys.stderr is not None:  # as it is where descriptor 2 was closed
        print(f"bytewax: warning: {text}", file=sys.stderr, flush=True)
