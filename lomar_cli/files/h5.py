"""What all of our HDF5 files share: safe opening, typed fields, header, provenance, digest.

HDF5 is not inert: a file can point at other files, declare petabytes, or ask for plug-in code.
:func:`open_read` lets only plain groups and plain data sets through, before anything is read.
See ``docs/format.md`` for the format itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lomar_cli._version import __version__
from lomar_cli.errors import InputError, LomarError
from lomar_cli.files.atomic import atomic_path
from lomar_cli.files.text import printable

FORMAT_VERSION = 1
SIGNATURE = b"\x89HDF\r\n\x1a\n"
DEFAULT_MAX_BYTES = 256 * 2**30
_MAX_DEPTH = 2
_MAX_TEXT = 256 * 2**20
_SLICE = 16 * 2**20
# The best that gzip can do; a data set that stores less than this was never written whole.
_MAX_RATIO = 1100
_MAX_OBJECTS = 100_000
_MAX_ATTRIBUTES = 64
_ALLOWED_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32"}
_PROVENANCE = "provenance"
_NOT_DIGESTED = {"generator", "content_sha256"}

Provenance = list[dict[str, Any]]


class Reader:
    """An open file of ours; every getter checks what it returns and names file and field."""

    def __init__(self, path: Path, handle: h5py.File) -> None:
        self.path = path
        self.handle = handle

    def fault(self, field: str, message: str) -> InputError:
        return InputError(f"{printable(str(self.path))}: {printable(field)}: {message}")

    def attribute(self, name: str, where: str = "/") -> Any:
        with damage(self.path, name):
            attributes = self.handle[where].attrs
            if name in attributes:
                return attributes[name]
        raise self.fault(name, "the attribute is missing; the file is damaged or not ours")

    def string(self, name: str, where: str = "/") -> str:
        value = self.attribute(name, where)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if not isinstance(value, str):
            raise self.fault(name, f"must be a string, is {type(value).__name__}")
        return value

    def integer(self, name: str, where: str = "/") -> int:
        value = self.attribute(name, where)
        if not isinstance(value, int | np.integer):
            raise self.fault(name, f"must be an integer, is {type(value).__name__}")
        return int(value)

    def number(self, name: str, where: str = "/") -> float:
        value = self.attribute(name, where)
        if not isinstance(value, float | int | np.floating | np.integer):
            raise self.fault(name, f"must be a number, is {type(value).__name__}")
        return float(value)

    def document(self, name: str) -> dict[str, Any]:
        """A string attribute that holds a JSON object."""
        try:
            value = json.loads(self.string(name))
        except (ValueError, RecursionError):
            raise self.fault(name, "must hold a JSON object") from None
        if not isinstance(value, dict):
            raise self.fault(name, "must hold a JSON object")
        return value

    def dataset(self, name: str, ndim: int | None = None) -> h5py.Dataset:
        found = self.handle.get(name)
        if not isinstance(found, h5py.Dataset):
            raise self.fault(name, "the data set is missing; the file is damaged or not ours")
        if found.shape is None or (ndim is not None and found.ndim != ndim):
            raise self.fault(name, f"must have {ndim} dimensions, has shape {found.shape}")
        return found

    def names(self, group: str) -> list[str]:
        found = self.handle.get(group)
        if not isinstance(found, h5py.Group):
            raise self.fault(group, "the group is missing; the file is damaged or not ours")
        return list(found)

    def integers(self, name: str, size: int | None = None) -> NDArray[np.int64]:
        values = self._read(name, 1, size, "iu", "integers")
        return values.astype(np.int64)

    def floats(self, name: str, size: int | None = None) -> NDArray[np.float64]:
        return self._read(name, 1, size, "f", "floating-point numbers").astype(np.float64)

    def strings(self, name: str, size: int | None = None) -> list[str]:
        found = self.dataset(name, 1)
        if h5py.check_string_dtype(found.dtype) is None:
            raise self.fault(name, f"must hold strings, holds {found.dtype}")
        if size is not None and found.shape[0] != size:
            raise self.fault(name, f"must have {size} entries, has {found.shape[0]}")
        try:
            with damage(self.path, name):
                return [bytes(value).decode("utf-8") for value in stored_strings(found)]
        except UnicodeDecodeError:
            raise self.fault(name, "holds text that is not UTF-8") from None

    def array(self, name: str) -> NDArray[Any]:
        """A data set of finite floats of any shape, read whole."""
        found = self.dataset(name)
        if found.dtype.kind != "f":
            raise self.fault(name, f"must hold floating-point numbers, holds {found.dtype}")
        with damage(self.path, name):
            values: NDArray[Any] = found[()]
        if not np.isfinite(values).all():
            raise self.fault(name, "holds NaN or infinity, which may not be here")
        return values

    def provenance(self) -> Provenance:
        if _PROVENANCE not in self.handle:
            return []
        found = self.dataset(_PROVENANCE, 0)
        with damage(self.path, _PROVENANCE):
            raw = found[()]
        try:
            value = json.loads(raw)
        except (ValueError, TypeError, RecursionError):
            raise self.fault(_PROVENANCE, "must hold a JSON list") from None
        if not isinstance(value, list) or not all(
            isinstance(step, dict)
            and all(isinstance(step.get(field, {}), dict) for field in ("options", "inputs"))
            for step in value
        ):
            raise self.fault(_PROVENANCE, "must hold a JSON list of stages")
        return value

    def content_sha256(self) -> str:
        return self.string("content_sha256")

    def check_digest(self) -> None:
        """Compare the stored digest with the content; a difference means the file was damaged."""
        with damage(self.path, "content_sha256"):
            actual = content_digest(self.handle)
        if actual != self.content_sha256():
            raise self.fault(
                "content_sha256", "does not match the content; the file was damaged or changed"
            )

    def _read(self, name: str, ndim: int, size: int | None, kinds: str, what: str) -> NDArray[Any]:
        found = self.dataset(name, ndim)
        if found.dtype.kind not in kinds:
            raise self.fault(name, f"must hold {what}, holds {found.dtype}")
        if size is not None and found.shape[0] != size:
            raise self.fault(name, f"must have {size} entries, has {found.shape[0]}")
        with damage(self.path, name):
            values: NDArray[Any] = found[()]
        return values


@contextlib.contextmanager
def open_read(
    path: Path, kind: str | None = None, max_bytes: int = DEFAULT_MAX_BYTES
) -> Iterator[Reader]:
    """Open one of our files for reading, after checking that it is inert and of format ``kind``.

    Raises InputError (exit 3) for a missing file, another kind of file, a newer version, links,
    virtual or external data sets, unknown filters, or more than ``max_bytes`` declared.
    """
    shown = printable(str(path))
    check_signature(path)
    try:
        # Without a chunk cache, HDF5 reads from a plain chunk only what is asked for.
        handle = h5py.File(path, "r", locking=False, rdcc_nbytes=0)
    except OSError:
        raise InputError(f"{shown}: is truncated or damaged HDF5; make it again") from None
    with contextlib.closing(handle):
        with damage(path, "its structure"):
            _check_inert(path, handle, max_bytes)
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
            )
        yield reader


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
    with atomic_path(path, force) as temporary:
        try:
            with h5py.File(temporary, "w", locking=False, libver=("v108", "v110")) as handle:
                handle.attrs["format"] = f"lomar/{kind}"
                handle.attrs["format_version"] = np.int64(FORMAT_VERSION)
                handle.attrs["generator"] = f"lomar {__version__}"
                yield handle
                handle.create_dataset(
                    _PROVENANCE, data=json.dumps(provenance, sort_keys=True, ensure_ascii=False)
                )
                handle.attrs["content_sha256"] = content_digest(handle)
        except OSError as error:
            reason = error.strerror or (str(error).splitlines() or ["the disk or its rights"])[0]
            raise LomarError(f"{printable(str(path))}: cannot be written: {reason}") from None


def write_strings(group: h5py.Group, name: str, values: Sequence[str], **more: Any) -> None:
    """Write variable-length UTF-8 strings."""
    data = np.array(list(values), dtype=object)
    group.create_dataset(name, data=data, dtype=h5py.string_dtype("utf-8"), **more)


def stored_strings(found: h5py.Dataset) -> Iterator[Any]:
    """The strings of a data set one by one, without trusting their number times their length.

    A small file can hold one long string and any number of references to it, so no more are read
    at once than would fit if each were as long as the file, and no more than ``_MAX_TEXT`` bytes
    altogether.
    """
    if not found.shape:
        yield found[()]
        return
    size = max(1, Path(found.file.filename).stat().st_size)
    step = min(4096, max(1, _MAX_TEXT // size))
    total = 0
    for start in range(0, found.shape[0], step):
        for value in found[start : start + step]:
            total += len(value)
            if total > _MAX_TEXT:
                raise ValueError(f"holds more than {_MAX_TEXT:,} bytes of text")
            yield value


def content_digest(handle: h5py.File) -> str:
    """SHA-256 over names, types, shapes and values, independent of how HDF5 lays them out.

    Left out: provenance and generator (how the content came about, not what it is), and
    ``/updates`` of a round, which ``/clients/sha256`` stands for.
    """
    digest = hashlib.sha256()

    def feed(*parts: bytes) -> None:
        for part in parts:
            digest.update(struct.pack("<Q", len(part)))
            digest.update(part)

    def attributes(where: str) -> None:
        found = handle[where].attrs
        for name in sorted(found):
            if where == "/" and name in _NOT_DIGESTED:
                continue
            value = found[name]
            if isinstance(value, np.generic):
                value = value.item()
            if isinstance(value, bytes):
                value = value.decode("utf-8", "replace")
            feed(b"attribute", where.encode(), name.encode(), json.dumps(value).encode())

    def data(where: str) -> None:
        found: h5py.Dataset = handle[where]
        shape = json.dumps(list(found.shape)).encode()
        if where.startswith("/updates/"):
            inner = json.dumps(list(found.shape[1:])).encode()
            feed(b"layout", where.encode(), found.dtype.str.encode(), inner)
            return
        if h5py.check_string_dtype(found.dtype) is not None:
            feed(b"data", where.encode(), b"utf-8", shape)
            feed(*(bytes(value) for value in stored_strings(found)))
        else:
            little = found.dtype.newbyteorder("<")
            feed(b"data", where.encode(), little.str.encode(), shape)
            digest.update(struct.pack("<Q", found.size * little.itemsize))
            if not found.shape:
                digest.update(np.asarray(found[()], dtype=little).tobytes())
                return
            rows = max(1, _SLICE // max(1, found.size // max(1, found.shape[0]) * little.itemsize))
            for start in range(0, found.shape[0], rows):
                raw = np.ascontiguousarray(found[start : start + rows], dtype=little)
                digest.update(raw.data)

    attributes("/")
    for where in sorted(_dataset_paths(handle)):
        if where != f"/{_PROVENANCE}":
            attributes(where)
            data(where)
    return digest.hexdigest()


def _dataset_paths(handle: h5py.File) -> list[str]:
    paths = []
    for name in handle:
        item = handle[name]
        if isinstance(item, h5py.Dataset):
            paths.append(f"/{name}")
        else:
            paths.extend(f"/{name}/{inner}" for inner in item)
    return paths


@contextlib.contextmanager
def damage(path: Path, field: str) -> Iterator[None]:
    """Turn what the HDF5 library raises on damaged bytes into one line."""
    try:
        yield
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{printable(str(path))}: {printable(field)}: cannot be read ({printable(reason)}); "
            "the file is damaged"
        ) from None


def _check_inert(path: Path, handle: h5py.File, max_bytes: int) -> None:
    shown = printable(str(path))
    declared = 0
    objects = 0
    if len(handle.attrs) > _MAX_ATTRIBUTES:
        raise InputError(f"{shown}: has {len(handle.attrs)} attributes; ours have few")
    pending: list[tuple[h5py.Group, str, int]] = [(handle, "", 1)]
    while pending:
        group, prefix, depth = pending.pop()
        for name in group:
            objects += 1
            where = printable(f"{prefix}/{name}")
            if objects > _MAX_OBJECTS:
                raise InputError(f"{shown}: holds more than {_MAX_OBJECTS} objects")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InputError(f"{shown}: {where}: is a link, which is refused; store the data")
            item = group.get(name)
            if item is None:
                raise InputError(f"{shown}: {where}: cannot be read; the file is damaged")
            if len(item.attrs) > _MAX_ATTRIBUTES:
                raise InputError(f"{shown}: {where}: has too many attributes")
            if isinstance(item, h5py.Group):
                if depth >= _MAX_DEPTH:
                    raise InputError(f"{shown}: {where}: groups are nested too deep")
                pending.append((item, f"{prefix}/{name}", depth + 1))
            elif isinstance(item, h5py.Dataset):
                declared += _declared_bytes(shown, where, item)
                if declared > max_bytes:
                    raise InputError(
                        f"{shown}: {where}: declares more than {max_bytes:,} bytes, "
                        "the most that is read"
                    )
            else:
                raise InputError(f"{shown}: {where}: is neither a group nor a data set")


def _declared_bytes(shown: str, where: str, item: h5py.Dataset) -> int:
    if item.is_virtual:
        raise InputError(f"{shown}: {where}: is a virtual data set, which is refused")
    if item.external:
        raise InputError(f"{shown}: {where}: lies in another file, which is refused")
    plist = item.id.get_create_plist()
    for position in range(plist.get_nfilters()):
        code = plist.get_filter(position)[0]
        if code not in _ALLOWED_FILTERS:
            raise InputError(
                f"{shown}: {where}: uses filter {code}; only gzip, shuffle and fletcher32 are read"
            )
    declared = int(item.size or 0) * int(item.dtype.itemsize)
    ratio = _MAX_RATIO if plist.get_nfilters() else 1
    if item.id.get_storage_size() * ratio < declared:
        raise InputError(f"{shown}: {where}: declares more than the file stores")
    return declared
