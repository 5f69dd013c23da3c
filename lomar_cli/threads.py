"""BLAS on one thread: the same bytes whatever the number of cores, and none taken from others."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator

from threadpoolctl import ThreadpoolController


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold every BLAS library of this process to one thread."""
    with _controller(len(sys.modules)).limit(limits=1, user_api="blas"):
        yield


@functools.lru_cache(maxsize=1)
def _controller(modules: int) -> ThreadpoolController:
    """Looking for the libraries takes milliseconds: done again only when modules were loaded."""
    return ThreadpoolController()
