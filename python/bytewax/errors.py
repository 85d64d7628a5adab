"""Exceptions of Bytewax's own. They are made in C; this is where programs find them."""

from bytewax._engine import BytewaxRuntimeError, UserKeyError

__all__ = ["BytewaxRuntimeError", "UserKeyError"]
