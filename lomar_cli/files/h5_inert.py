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
from lomar_cli.files.bombs import check_unpacked
from lomar_cli.files.h5_chunks import MAX_RATIO, check_chunks
from lomar_cli.files.text import printable

MAX_OBJECTS = 20_000
_MAX_ATTRIBUTES = 64
_MAX_ATTRIBUTE_BYTES = 2**20
_MAX_STRING_BYTES = 2**20
_MAX_SCALAR_BYTES = 16 * 2**20
_MAX_CHUNK_BYTES = 64 * 2**20
_MAX_DEPTH = 2
_ALLOWED_FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)


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
    _check_attributes(shown, handle)
    for where, item in walk(shown, handle, _MAX_DEPTH):
        named = f"{shown}: {printable(where)}"
        if isinstance(item, h5py.Dataset):
            _check_strings(named, item)
            declared += stored_bytes(named, item)
            if declared > max_bytes:
                raise InputError(
                    f"{named}: declares more than {max_bytes:,} bytes, the most that is read"
                )
        _check_attributes(named, item)
    check_unpacked(shown, declared, path.stat().st_size)


def walk(
    shown: str, handle: h5py.File, deepest: int
) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    """Every group and data set below the root with its path, as deep as ``deepest`` groups.

    InputError for links, other objects, cycles, and more than ``MAX_OBJECTS``.
    """
    objects = 0
    seen: set[int] = set()
    pending: list[tuple[h5py.Group, str, int]] = [(handle, "", 1)]
    while pending:
        group, prefix, depth = pending.pop()
        # A group that is reached twice is a cycle, or one array under many names.
        place = h5py.h5o.get_info(group.id).addr
        if place in seen:
            raise InputError(
                f"{shown}: {printable(prefix)}: is there under two names, which is refused"
            )
        seen.add(place)
        for name in group:
            objects += 1
            where = f"{prefix}/{name}"
            named = f"{shown}: {printable(where)}"
            if objects > MAX_OBJECTS:
                raise InputError(f"{shown}: holds more than {MAX_OBJECTS:,} objects")
            # What is no text comes as the bytes that it is.
            if isinstance(name, bytes):
                raise InputError(f"{named}: has a name that is no UTF-8, which is refused")
            link = group.id.links.get_info(name.encode())
            if link.type != h5py.h5l.TYPE_HARD:
                raise InputError(f"{named}: is a link, which is refused; store the data")
            item = group.get(name)
            if item is None:
                raise InputError(f"{named}: cannot be read; the file is damaged")
            if isinstance(item, h5py.Group):
                if depth >= deepest:
                    raise InputError(f"{named}: groups are nested too deep, beyond {deepest}")
                pending.append((item, where, depth + 1))
            elif not isinstance(item, h5py.Dataset):
                raise InputError(f"{named}: is neither a group nor a data set")
            yield where, item


def stored_bytes(named: str, item: h5py.Dataset) -> int:
    """How many bytes a data set declares, all of which the file itself holds, or InputError."""
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
    width = int(item.id.get_type().get_size())
    # A chunk is held whole, however little of it is asked for.
    if item.chunks and math.prod(item.chunks) * width > _MAX_CHUNK_BYTES:
        raise InputError(f"{named}: has chunks of more than {_MAX_CHUNK_BYTES:,} bytes")
    declared = int(item.size or 0) * width
    # What stores less than gzip at its best was never written whole.
    ratio = MAX_RATIO if plist.get_nfilters() else 1
    if item.id.get_storage_size() * ratio < declared:
        raise InputError(f"{named}: declares more than the file stores")
    check_chunks(named, item)
    return declared


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


def _check_strings(named: str, item: h5py.Dataset) -> None:
    """Refuse a data set of another type than ours, or of strings beyond any of ours."""
    kind = item.id.get_type()
    _check_type(named, kind)
    if kind.get_class() == h5py.h5t.STRING:
        limit = _MAX_STRING_BYTES if item.shape else _MAX_SCALAR_BYTES
        if int(kind.get_size()) > limit:
            raise InputError(f"{named}: holds strings longer than {limit:,} bytes")
