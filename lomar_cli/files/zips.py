"""Zip archives of strangers (npz, torch): what is wrong with their directory is found, and said.

Members have checksums, the directory that lists them has none: a changed length in it swallows the
entries that follow, and torch takes a member for a folder, and what memory holds for its content,
by one bit.
"""

from __future__ import annotations

import contextlib
import errno
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from lomar_cli.errors import InputError
from lomar_cli.files.text import printable

# End of central directory: signature, two disks, entries here and in all, size, offset, comment.
_END = struct.Struct("<4s4H2LH")
# So many entries, or more: their number stands elsewhere.
_ELSEWHERE = 0xFFFF
_FOLDER = 0x10


@contextlib.contextmanager
def open_archive(path: Path, kind: str) -> Iterator[zipfile.ZipFile]:
    """Yield the archive of a ``kind`` of file; InputError for damage, also while it is read."""
    shown = printable(str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            fault = _fault(archive, path)
            if fault:
                raise InputError(f"{shown}: is a damaged {kind} file: {fault}")
            yield archive
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        UnicodeDecodeError,
        ValueError,  # a member beyond what a file can be
    ) as error:
        raise InputError(
            f"{shown}: is a truncated or damaged {kind} file ({printable(str(error), 60)})"
        ) from None
    except OSError as error:
        # A member that says that it lies before the archive's first byte.
        if error.errno != errno.EINVAL:
            raise
        raise InputError(f"{shown}: is a damaged {kind} file: a part of it lies nowhere") from None


def _fault(archive: zipfile.ZipFile, path: Path) -> str:
    """What is wrong with the directory, empty for nothing."""
    members = archive.infolist()
    if archive.comment or any(member.comment for member in members):
        return "it has comments, which no program writes into one"
    for member in members:
        if member.external_attr & _FOLDER or member.filename.endswith("/"):
            return f"{printable(member.filename)} is a folder"
    with path.open("rb") as stream:
        stream.seek(-_END.size, 2)
        listed = _END.unpack(stream.read(_END.size))[4]
    if listed not in (len(members), _ELSEWHERE):
        return f"it lists {len(members)} of its {listed} parts"
    return ""
