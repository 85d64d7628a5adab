"""A `multiprocessing` context whose processes are threads, for examples that are run as tests."""

from __future__ import annotations

import multiprocessing.dummy
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["doctest_ctx"]

doctest_ctx = ModuleType("doctest_ctx", multiprocessing.dummy.__doc__)
doctest_ctx.__dict__.update({name: getattr(multiprocessing.dummy, name) for name in multiprocessing.dummy.__all__})


@contextmanager
def _manager() -> Iterator[ModuleType]:
    """Stand in for `multiprocessing.Manager`, whose lists and dicts here are plain ones."""
    yield doctest_ctx


doctest_ctx.__dict__.update(Manager=_manager, list=list, dict=dict)
