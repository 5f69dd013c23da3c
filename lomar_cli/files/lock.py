"""A lock that dies with the process that holds it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold ``path`` (made if need be) against every other process; wait for who holds it now."""
    handle = _taken(path)
    try:
        yield
    finally:
        os.close(handle)


def _taken(path: Path) -> int:
    """The descriptor of the file that lies at ``path`` now, locked."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Whoever held it may have removed it meanwhile: a lock on that is a lock on nothing.
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(handle).st_ino == path.stat().st_ino:
                return handle
        os.close(handle)
