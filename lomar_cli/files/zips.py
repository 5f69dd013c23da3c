"""Zip archives of strangers (npz, torch): what is wrong with their directory is found, and said.

Members have checksums, the directory that lists them has none: a changed length in it swallows the
entries that follow, and torch takes a member for a folder, and what memory holds for its content,
by one bit. And there may be two directories, of which zipfile would read one and torch the other.
"""

from __future__ import annotations

import contextlib
import errno
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from lomar_cli.errors import InputError
from lomar_cli.files.text import printable

# A tensor each. Zipfile takes a while to list more.
MOST_PARTS = 20_000
# End of the directory: signature, two disks, entries here and in all, size, offset, comment.
_END = struct.Struct("<4s4H2LH")
# Where the larger end of a zip64 archive lies, and that: signature, its size, two versions, two
# disks, entries here and in all, size, offset.
_PLACE, _LARGE = struct.Struct("<4sLQL"), struct.Struct("<4sQ2H2L4Q")
_FOLDER = 0x10


class _Directory(NamedTuple):
    entries: int
    start: int


@contextlib.contextmanager
def open_archive(path: Path, kind: str) -> Iterator[zipfile.ZipFile]:
    """Yield the archive of a ``kind`` of file; InputError for damage, also while it is read."""
    shown = printable(str(path))
    try:
        said = _directory(path)
        if said is not None and said.entries > MOST_PARTS:
            raise InputError(f"{shown}: holds {said.entries:,} parts, more than {MOST_PARTS:,}")
        with zipfile.ZipFile(path) as archive:
            fault = _fault(archive, said)
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
        struct.error,  # a file that became shorter meanwhile
    ) as error:
        hint = ""
        if kind == "torch" and "CRC" in str(error):
            hint = "; one saved without checksums (set_crc32_options) has to be saved anew"
        raise InputError(
            f"{shown}: is a truncated or damaged {kind} file ({printable(str(error), 60)}){hint}"
        ) from None
    except OSError as error:
        # A member that says that it lies where no file reaches.
        if error.errno != errno.EINVAL:
            raise
        raise InputError(f"{shown}: is a damaged {kind} file: a part of it lies nowhere") from None


def is_small(path: Path) -> bool:
    """Whether so few parts are listed that listing them costs little."""
    said = _directory(path)
    return said is None or said.entries <= MOST_PARTS


def _directory(path: Path) -> _Directory | None:
    """The directory as the file's last bytes tell of it; None where they do not, or not clearly.

    It ends where its end begins, so that nothing can lie between, and there is one end only.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        end = _read(stream, _END, size - _END.size)
        if end is None or end[0] != b"PK\x05\x06" or end[1:3] != (0, 0) or end[7]:
            return None
        entries, length, start = end[4:7]
        stop = size - _END.size
        place = _read(stream, _PLACE, stop - _PLACE.size)
        if place is not None and place[0] == b"PK\x06\x07":
            large = _read(stream, _LARGE, place[2])
            if large is None or large[0] != b"PK\x06\x06" or place[2] + large[1] + 32 != stop:
                return None
            if any(
                small not in (real, most)
                for small, real, most in zip(
                    end[3:7], large[6:], (0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1), strict=True
                )
            ):
                return None
            entries, length, start = large[7:]
            stop = place[2]
    return _Directory(entries, start) if start + length == stop else None


def _read(stream: IO[bytes], what: struct.Struct, at: int) -> tuple[Any, ...] | None:
    if not 0 <= at <= stream.seek(0, 2) - what.size:
        return None
    stream.seek(at)
    return what.unpack(stream.read(what.size))


def _fault(archive: zipfile.ZipFile, said: _Directory | None) -> str:
    """What is wrong with the directory, empty for nothing."""
    members = archive.infolist()
    if archive.comment or any(member.comment for member in members):
        return "it has comments, which no program writes into one"
    if said is None or said.start != archive.start_dir:
        return "it does not end with its one directory"
    if said.entries != len(members):
        return f"it lists {len(members)} of its {said.entries} parts"
    for member in members:
        if member.external_attr & _FOLDER or member.filename.endswith("/"):
            return f"{printable(member.filename)} is a folder"
    return ""
