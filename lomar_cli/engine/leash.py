"""Long calls ask now and then whether anybody still waits for them.

A worker whose run was interrupted, or whose scheduler is gone, would otherwise work for hours at
what nobody takes, and hold locks that the next run waits for.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


class Unwanted(BaseException):
    """Nobody waits for this call any more. No Exception: it must not be taken for a failure."""


class _Leash(threading.local):
    wanted: Callable[[], bool] | None = None


_leash = _Leash()


@contextlib.contextmanager
def leashed(wanted: Callable[[], bool]) -> Iterator[None]:
    """Inside, ``go_on`` asks ``wanted``; for the calling thread only."""
    before, _leash.wanted = _leash.wanted, wanted
    try:
        yield
    finally:
        _leash.wanted = before


def go_on() -> None:
    """Raise ``Unwanted`` when nobody waits for the call that runs in this thread."""
    if _leash.wanted is not None and not _leash.wanted():
        raise Unwanted
