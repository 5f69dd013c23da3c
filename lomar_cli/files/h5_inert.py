"""Let only inert HDF5 through: plain groups, plain data sets, plain scalars.

HDF5 is not inert: a file can point at other files, declare petabytes, ask for plug-in code, or
hold a heap that the library walks for ever. Everything is checked from the descriptions that the
file holds of its objects, before a value is read. ``docs/format.md`` lists what is refused.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import h5py

from lomar_cli.errors import InputError
from lomar_cli.files.text import printable

MAX_OBJECTS = 100_000
_MAX_ATTRIBUTES = 64
_MAX_ATTRIBUTE_BYTES = 2**20
_MAX_STRING_BYTES = 2**20
_MAX_SCALAR_BYTES = 16 * 2**20
_MAX_CHUNK_BYTES = 64 * 2**20
_MAX_DEPTH = 2
# The best that gzip can do; a data set that stores less than this was never written whole.
_MAX_RATIO = 1100
_ALLOWED_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32"}


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
            f"{printable(str(path))}: {printable(field)}: cannot be read; the file is damaged "
            f"({printable(reason)})"
        ) from None


def check_inert(path: Path, handle: h5py.File, max_bytes: int) -> None:
    """Raise InputError unless all of an open file is plain and small enough to look at."""
    shown = printable(str(path))
    declared = 0
    objects = 0
    _check_attributes(shown, handle)
    pending: list[tuple[h5py.Group, str, int]] = [(handle, "", 1)]
    while pending:
        group, prefix, depth = pending.pop()
        for name in group:
            objects += 1
            where = printable(f"{prefix}/{name}")
            if objects > MAX_OBJECTS:
                raise InputError(f"{shown}: holds more than {MAX_OBJECTS} objects")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InputError(f"{shown}: {where}: is a link, which is refused; store the data")
            item = group.get(name)
            if item is None:
                raise InputError(f"{shown}: {where}: cannot be read; the file is damaged")
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
            _check_attributes(f"{shown}: {where}", item)


def _check_attributes(shown: str, item: h5py.HLObject) -> None:
    if len(item.attrs) > _MAX_ATTRIBUTES:
        raise InputError(f"{shown}: has {len(item.attrs)} attributes; ours have few")
    for name in item.attrs:
        found = item.attrs.get_id(name)
        where = f"{shown}: {printable(name)}"
        if found.get_space().get_simple_extent_type() != h5py.h5s.SCALAR:
            raise InputError(f"{where}: is no single value; attributes of ours are")
        kind = found.get_type()
        _check_type(where, kind)
        if kind.get_size() > _MAX_ATTRIBUTE_BYTES:
            raise InputError(f"{where}: is longer than {_MAX_ATTRIBUTE_BYTES:,} bytes")


def _check_type(where: str, kind: h5py.h5t.TypeID) -> None:
    """Refuse all but integers, floats and strings of a fixed length."""
    found = kind.get_class()
    if found == h5py.h5t.VLEN or (found == h5py.h5t.STRING and kind.is_variable_str()):
        raise InputError(
            f"{where}: is of variable length, which is refused; store it with a fixed length"
        )
    if found not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING):
        raise InputError(f"{where}: is of a type that is refused; ours are numbers and strings")


def _declared_bytes(shown: str, where: str, item: h5py.Dataset) -> int:
    named = f"{shown}: {where}"
    kind = item.id.get_type()
    _check_type(named, kind)
    if item.is_virtual:
        raise InputError(f"{named}: is a virtual data set, which is refused")
    if item.external:
        raise InputError(f"{named}: lies in another file, which is refused")
    plist = item.id.get_create_plist()
    for position in range(plist.get_nfilters()):
        code = plist.get_filter(position)[0]
        if code not in _ALLOWED_FILTERS:
            raise InputError(
                f"{named}: uses filter {code}; only gzip, shuffle and fletcher32 are read"
            )
    width = int(kind.get_size())
    if kind.get_class() == h5py.h5t.STRING:
        limit = _MAX_STRING_BYTES if item.shape else _MAX_SCALAR_BYTES
        if width > limit:
            raise InputError(f"{named}: holds strings longer than {limit:,} bytes")
    # A chunk is held whole, however little of it is asked for.
    if item.chunks and math.prod(item.chunks) * width > _MAX_CHUNK_BYTES:
        raise InputError(f"{named}: has chunks of more than {_MAX_CHUNK_BYTES:,} bytes")
    declared = int(item.size or 0) * width
    ratio = _MAX_RATIO if plist.get_nfilters() else 1
    if item.id.get_storage_size() * ratio < declared:
        raise InputError(f"{named}: declares more than the file stores")
    return declared
