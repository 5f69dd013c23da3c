"""A lock that dies with the process that holds it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

# What storage without locks answers: there is nothing to wait for.
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


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
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        # Whoever held it may have removed it meanwhile: a lock on that is a lock on nothing.
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(handle).st_ino == path.stat().st_ino:
                return handle
        os.close(handle)


@contextlib.contextmanager
def holding(path: Path, exclusive: bool, patience: float | None = None) -> Iterator[None]:
    """Hold an existing file itself, with other readers or alone; TimeoutError beyond ``patience``.

    Who is alone keeps everybody out; files that are replaced meanwhile are taken anew.
    """
    until = None if patience is None else time.monotonic() + patience
    while True:
        handle = os.open(path, os.O_RDWR if exclusive else os.O_RDONLY)
        try:
            _wait(handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, until)
            if os.fstat(handle).st_ino == path.stat().st_ino:
                yield
                return
        finally:
            os.close(handle)


def _wait(handle: int, kind: int, until: float | None) -> None:
    while True:
        try:
            fcntl.flock(handle, kind if until is None else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if until is not None and time.monotonic() > until:
                raise TimeoutError from None
            time.sleep(0.001)
        except OSError:
            # A file system without locks: nobody appends there either.
            return
        else:
            return
