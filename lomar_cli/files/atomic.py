"""Write a file so that it is complete or absent, whatever happens."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from lomar_cli.errors import OutputExistsError, UsageError, WriteError
from lomar_cli.files.text import printable

# What only writing fails with.
_NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def check_output(path: Path, force: bool, option: str = "-o") -> None:
    """Refuse an output that exists (without ``force``), is a folder, or has no folder to lie in.

    ``option`` is the one that names it.
    """
    shown = printable(str(path))
    if path.name == "-":
        raise UsageError(f"{option} -: this output is no stream; name a file")
    if path.is_dir():
        raise UsageError(f"{shown}: is a folder; name a file for {option}")
    if not path.parent.is_dir():
        raise UsageError(
            f"{shown}: there is no folder {printable(str(path.parent))}; make it first"
        )
    if path.exists() and not path.is_file():
        raise UsageError(f"{shown}: is no regular file and is not replaced; name another {option}")
    if (path.exists() or path.is_symlink()) and not force:
        raise OutputExistsError(
            f"{shown}: exists already; use -f to replace it, or another {option}"
        )


@contextlib.contextmanager
def atomic_path(path: Path, force: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is synced and takes its place.

    On any failure the temporary file is removed and ``path`` stays as it was. The temporary file
    is held under a lock while it is written, so that the next run can tell what a killed run left
    behind from what another process is writing, and clears only the former.
    """
    check_output(path, force)
    _clear_stale(path)
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    lock = None
    try:
        lock = _new(temporary, path)
        # Storage without locks is written to all the same; what is left behind stays there.
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield temporary
        os.fsync(lock)
        if path.exists() and not force:
            raise OutputExistsError(f"{printable(str(path))}: appeared meanwhile; use -f")
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        # What cannot be removed is told by what went wrong before.
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            shown = printable(str(path))
            raise WriteError(f"{shown}: cannot be written: {error.strerror}") from None
        raise
    finally:
        if lock is not None:
            os.close(lock)


def _new(temporary: Path, path: Path) -> int:
    """Open the temporary file of ``path``. One that Ctrl-C comes upon may be there all the same."""
    try:
        return os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    except OSError as error:
        raise WriteError(f"{printable(str(path))}: cannot be written: {error.strerror}") from None


def atomic_bytes(path: Path, content: bytes, force: bool = False) -> None:
    """Write ``content`` to ``path``, complete or not at all."""
    with atomic_path(path, force) as temporary, temporary.open("r+b") as stream:
        stream.write(content)


def _clear_stale(path: Path) -> None:
    ours = re.compile(rf"\.{re.escape(path.name)}\.\d+\.tmp")
    for left in path.parent.iterdir():
        if not ours.fullmatch(left.name):
            continue
        with contextlib.suppress(OSError):
            handle = os.open(left, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
            finally:
                os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make what was renamed or removed in a folder last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
