"""The port of a process in a cluster. This version only holds it: nobody is there to connect."""

from __future__ import annotations

import socket

from bytewax.errors import BytewaxRuntimeError

__all__ = ["Listener"]


def _split(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        msg = f"invalid socket address: expected 'host:port'; got {address!r}"
        raise ValueError(msg)
    if host.startswith("[") and host.endswith("]"):  # IPv6, as in a URL
        host = host[1:-1]
    return host, int(port)


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        # Lets the next run bind the port while connections of the last one linger, not while it runs.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen()
    except BaseException:
        bound.close()
        raise
    return bound


class Listener:
    """Listens on an address until it is closed, and accepts nobody.

    Args:
        address: `"host:port"`.

    Raises:
        BytewaxRuntimeError: The address is not one, is not known, or is in use; see the cause.
    """

    def __init__(self, address: str) -> None:
        try:
            self._socket = _bind(*_split(address))
        except socket.gaierror as ex:
            reason = f"failed to lookup address information: {ex.strerror}"
            raise BytewaxRuntimeError(_message(address, reason)) from ex
        except OSError as ex:
            raise BytewaxRuntimeError(_message(address, str(ex.strerror))) from ex
        except ValueError as ex:
            raise BytewaxRuntimeError(_message(address, str(ex))) from ex

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


def _message(address: str, reason: str) -> str:
    return f"error building timely communication pipeline: can't listen on {address!r}: {reason}"
