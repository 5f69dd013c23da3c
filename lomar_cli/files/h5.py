"""What all of our HDF5 files share: safe opening, header, provenance, digest.

:func:`open_read` lets only plain groups and plain data sets through, before anything is read.
See ``docs/format.md`` for the format itself.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lomar_cli._version import __version__
from lomar_cli.errors import InputError, WriteError
from lomar_cli.files.atomic import atomic_path
from lomar_cli.files.h5_digest import PROVENANCE, content_digest
from lomar_cli.files.h5_inert import check_inert, damage
from lomar_cli.files.h5_reader import Provenance, Reader
from lomar_cli.files.h5_text import stored_strings, write_scalar, write_strings, write_text
from lomar_cli.files.journal import journal_path, recover
from lomar_cli.files.lock import holding
from lomar_cli.files.steady import SteadyFile, interrupted_outside
from lomar_cli.files.text import printable

__all__ = [
    "DEFAULT_MAX_BYTES",
    "FORMAT_VERSION",
    "SIGNATURE",
    "Provenance",
    "Reader",
    "check_signature",
    "content_digest",
    "create",
    "damage",
    "is_hdf5",
    "open_read",
    "open_steady",
    "stored_strings",
    "write_strings",
    "write_text",
]

FORMAT_VERSION = 1
SIGNATURE = b"\x89HDF\r\n\x1a\n"
DEFAULT_MAX_BYTES = 256 * 2**30
_MAKERS = {
    "model": "lomar aggregate",
    "round": "lomar train",
    "scores": "lomar score",
    "split": "lomar partition",
}
# Seconds that a reader waits for an append to end; one takes some milliseconds.
_PATIENCE = 10.0


@contextlib.contextmanager
def open_read(
    path: Path, kind: str | None = None, max_bytes: int = DEFAULT_MAX_BYTES
) -> Iterator[Reader]:
    """Open one of our files for reading, after checking that it is inert and of format ``kind``.

    Raises InputError (exit 3) for a missing file, another kind of file, a newer version, links,
    virtual or external data sets, unknown filters, or more than ``max_bytes`` declared.
    """
    check_signature(path)
    shown = printable(str(path))
    with _shared(path):
        try:
            # Without a chunk cache, HDF5 reads from a plain chunk only what is asked for.
            handle = h5py.File(path, "r", locking=False, rdcc_nbytes=0)
        except OSError:
            raise InputError(f"{shown}: is truncated or damaged HDF5; make it again") from None
        with contextlib.closing(handle):
            yield _checked(path, handle, kind, max_bytes)


@contextlib.contextmanager
def open_steady(path: Path, stream: Any, kind: str) -> Iterator[Reader]:
    """Open ``path``, as ``stream`` holds it, for changes; checked as :func:`open_read` does."""
    try:
        handle = h5py.File(stream, "r+", locking=False)
    except OSError:
        shown = printable(str(path))
        raise InputError(f"{shown}: is truncated or damaged HDF5; make it again") from None
    with contextlib.closing(handle):
        yield _checked(path, handle, kind, DEFAULT_MAX_BYTES)


@contextlib.contextmanager
def _shared(path: Path) -> Iterator[None]:
    """Keep those who append out while a file is read; finish first what one of them began."""
    shown = printable(str(path))
    held = contextlib.ExitStack()
    try:
        if journal_path(path).exists():
            with holding(path, exclusive=True, patience=_PATIENCE):
                recover(path)
        held.enter_context(holding(path, exclusive=False, patience=_PATIENCE))
    except TimeoutError:
        raise InputError(f"{shown}: is being written; try again in a moment") from None
    except OSError as error:
        raise InputError(f"{shown}: cannot be read: {error.strerror}") from None
    with held:
        yield


def _checked(path: Path, handle: h5py.File, kind: str | None, max_bytes: int) -> Reader:
    shown = printable(str(path))
    with damage(path, "its structure"):
        check_inert(path, handle, max_bytes)
    reader = Reader(path, handle)
    with damage(path, "format"):
        ours = "format" in handle.attrs
    if not ours:
        raise InputError(
            f"{shown}: format: this HDF5 file was not written by lomar; "
            "`lomar dump` turns client updates into a round file"
        )
    found = reader.string("format")
    version = reader.integer("format_version")
    if version > FORMAT_VERSION:
        raise reader.fault(
            "format_version",
            f"is {version}, this lomar reads up to {FORMAT_VERSION}; upgrade lomar",
        )
    if version < 1:
        raise reader.fault("format_version", f"is {version}; versions start at 1")
    if kind is not None and found != f"lomar/{kind}":
        raise InputError(
            f"{shown}: is a {printable(found)} file, a lomar/{kind} is needed here"
            + (f" (`{_MAKERS[kind]}` makes one)" if kind in _MAKERS else "")
        )
    return reader


def check_signature(path: Path) -> None:
    """Refuse what is not there, not a file, or not HDF5."""
    shown = printable(str(path))
    if not path.is_file():
        what = "is not a regular file" if path.exists() else "no such file"
        raise InputError(f"{shown}: {what}")
    try:
        with path.open("rb") as stream:
            head = stream.read(len(SIGNATURE))
    except OSError as error:
        raise InputError(f"{shown}: cannot be read: {error.strerror}") from None
    if head != SIGNATURE:
        raise InputError(f"{shown}: is not an HDF5 file; `lomar dump` reads npz and npy files")


def is_hdf5(path: Path) -> bool:
    """True when ``path`` begins as an HDF5 file does."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(SIGNATURE)) == SIGNATURE
    except OSError:
        return False


@contextlib.contextmanager
def create(
    path: Path, kind: str, provenance: Provenance, force: bool = False
) -> Iterator[h5py.File]:
    """Yield a new file of format ``kind``; on success it is sealed with its digest and renamed."""
    shown = printable(str(path))
    with (
        atomic_path(path, force) as temporary,
        contextlib.closing(SteadyFile(temporary)) as stream,
        interrupted_outside(),
    ):
        try:
            with _new_file(stream) as handle:
                write_text(handle, "format", f"lomar/{kind}")
                handle.attrs["format_version"] = np.int64(FORMAT_VERSION)
                write_text(handle, "generator", f"lomar {__version__}")
                yield handle
                steps = json.dumps(provenance, sort_keys=True, ensure_ascii=False)
                write_scalar(handle, PROVENANCE, steps)
                write_text(handle, "content_sha256", content_digest(handle))
        except Exception as error:
            if stream.error is None and not isinstance(error, OSError):
                raise
            cause = stream.error or error
            reason = getattr(cause, "strerror", None) or (str(cause).splitlines() or ["?"])[0]
            raise WriteError(f"{shown}: cannot be written: {reason}") from None
        if stream.error is not None:
            raise WriteError(f"{shown}: cannot be written: {stream.error.strerror}")


def _new_file(stream: SteadyFile) -> h5py.File:
    """A new file whose root keeps its attributes in one place, under one checksum."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V110)
    access.set_file_locking(False, True)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    # Whole chunks go to the file as they are, not by way of a cache.
    settings = list(access.get_cache())
    settings[2] = 0
    access.set_cache(*settings)
    made = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    made.set_attr_phase_change(64, 0)
    made.set_obj_track_times(False)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, stream)
    opened = h5py.h5f.create(b"lomar", h5py.h5f.ACC_TRUNC, fcpl=made, fapl=access)
    return h5py.File(opened)
