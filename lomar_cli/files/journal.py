"""Change a file in place so that it is as before or as after, whatever happens in between.

Changes are gathered in memory. What lies beyond the old end is written there first, where nobody
looks; then a journal beside the file is written with the old and the new bytes of every changed
page; only then the file is changed. Who finds a complete journal finishes what it says.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from lomar_cli.files.atomic import sync_folder

_PAGE = 4096
_MAGIC = b"lomar journal 1\n"


class Overlay:
    """A file for h5py whose changes stay in memory until :func:`commit`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.old_size = os.fstat(self._file.fileno()).st_size
        self.size = self.old_size
        self.pages: dict[int, bytearray] = {}
        self._at = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, count: int) -> bytes:
        """By this name h5py knows a file; it reads by :meth:`readinto`."""
        found = bytearray(count)
        self.readinto(memoryview(found))
        return bytes(found)

    def readinto(self, buffer: memoryview) -> int:
        view = memoryview(buffer).cast("B")
        for start, stop, page, inside in self._parts(len(view)):
            found = self.pages.get(page)
            whole = found if found is not None else self.old(page)
            view[start:stop] = whole[inside : inside + stop - start]
        self._at += len(view)
        return len(view)

    def write(self, buffer: memoryview) -> int:
        view = memoryview(buffer).cast("B")
        for start, stop, page, inside in self._parts(len(view)):
            if page not in self.pages:
                self.pages[page] = bytearray(self.old(page))
            self.pages[page][inside : inside + stop - start] = view[start:stop]
        self._at += len(view)
        self.size = max(self.size, self._at)
        return len(view)

    def truncate(self, size: int) -> int:
        self.size = size
        return size

    def flush(self) -> None:
        """Nothing is written before :func:`commit`."""

    def close(self) -> None:
        self._file.close()

    def old(self, page: int) -> bytes:
        """A page as the file holds it, zeros beyond its end."""
        return os.pread(self._file.fileno(), _PAGE, page * _PAGE).ljust(_PAGE, b"\0")

    def _parts(self, length: int) -> Iterator[tuple[int, int, int, int]]:
        start = 0
        while start < length:
            page, inside = divmod(self._at + start, _PAGE)
            stop = min(length, start + _PAGE - inside)
            yield start, stop, page, inside
            start = stop


def journal_path(path: Path) -> Path:
    """Where the journal of a file lies while the file is changed."""
    return path.parent / f".{path.name}.journal"


def commit(path: Path, overlay: Overlay) -> None:
    """Bring the changes into the file. The caller holds the file's lock."""
    fresh = {p: raw for p, raw in overlay.pages.items() if p * _PAGE >= overlay.old_size}
    changed = {p: raw for p, raw in sorted(overlay.pages.items()) if p not in fresh}
    with path.open("r+b", buffering=0) as stream:
        for page, raw in sorted(fresh.items()):
            _write(stream.fileno(), bytes(raw), page * _PAGE)
        os.fsync(stream.fileno())
    body = struct.pack("<QQ", overlay.size, len(changed)) + b"".join(
        struct.pack("<Q", page) + overlay.old(page) + bytes(raw) for page, raw in changed.items()
    )
    journal = journal_path(path)
    with journal.open("wb") as writer:
        writer.write(_MAGIC + hashlib.sha256(body).digest() + body)
        writer.flush()
        os.fsync(writer.fileno())
    sync_folder(path.parent)
    recover(path)


def recover(path: Path) -> None:
    """Finish what a complete journal says, and remove it; one that is incomplete never counted.

    The caller holds the file's lock. A journal of another file, which this one has replaced since,
    is removed as well: each byte must be as before or as after.
    """
    journal = journal_path(path)
    if not journal.exists():
        return
    raw = journal.read_bytes()
    head = len(_MAGIC) + 32
    body = raw[head:]
    if raw[:head] == _MAGIC + hashlib.sha256(body).digest():
        size, count = struct.unpack_from("<QQ", body)
        entries = [
            (
                struct.unpack_from("<Q", body, at)[0],
                body[at + 8 : at + 8 + _PAGE],
                body[at + 8 + _PAGE : at + 8 + 2 * _PAGE],
            )
            for at in range(16, 16 + count * (8 + 2 * _PAGE), 8 + 2 * _PAGE)
        ]
        with path.open("r+b", buffering=0) as stream:
            if all(_either(stream.fileno(), *entry) for entry in entries):
                for page, _, new in entries:
                    _write(stream.fileno(), new, page * _PAGE)
                stream.truncate(size)
                os.fsync(stream.fileno())
    with contextlib.suppress(FileNotFoundError):
        journal.unlink()
    sync_folder(path.parent)


def _either(handle: int, page: int, old: bytes, new: bytes) -> bool:
    now = os.pread(handle, _PAGE, page * _PAGE).ljust(_PAGE, b"\0")
    return all(byte in pair for byte, *pair in zip(now, old, new, strict=True))


def _write(handle: int, raw: bytes, offset: int) -> None:
    done = 0
    while done < len(raw):
        done += os.pwrite(handle, raw[done:], offset + done)
