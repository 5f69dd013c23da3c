"""Foreign HDF5: the refusals of our own reader, for deeper groups and other people's attributes.

Attributes are not looked at here: whoever wants one reads that one, by its type.
"""

from __future__ import annotations

import math

import h5py

from lomar_cli.errors import InputError
from lomar_cli.files.importers.base import check_declared, fault

# Keras nests a layer inside a model inside a model; a path longer than this is no layer's.
_MAX_DEPTH = 32
_MAX_OBJECTS = 100_000
_MAX_ATTRIBUTES = 1000
_MAX_CHUNK_BYTES = 64 * 2**20
# The best that gzip can do; a data set that stores less than this was never written whole.
_MAX_RATIO = 1100
_FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)


def check_inert(shown: str, handle: h5py.File, max_bytes: int) -> None:
    """Raise InputError unless all of an open file is plain and small enough to be read."""
    declared = 0
    objects = 0
    seen: set[int] = set()
    pending: list[tuple[h5py.Group, str, int]] = [(handle, "", 1)]
    while pending:
        group, prefix, depth = pending.pop()
        # A group that is reached twice is a cycle, or one array under many names.
        place = h5py.h5o.get_info(group.id).addr
        if place in seen:
            raise fault(shown, prefix, "is there under two names, which is refused")
        seen.add(place)
        if len(group.attrs) > _MAX_ATTRIBUTES:
            raise fault(shown, prefix or "/", f"has more than {_MAX_ATTRIBUTES} attributes")
        for name in group:
            objects += 1
            where = f"{prefix}/{name}"
            if objects > _MAX_OBJECTS:
                raise InputError(f"{shown}: holds more than {_MAX_OBJECTS:,} objects")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise fault(shown, where, "is a link, which is refused; store the data")
            item = group.get(name)
            if isinstance(item, h5py.Group):
                if depth >= _MAX_DEPTH:
                    raise fault(shown, where, f"lies deeper than {_MAX_DEPTH} groups")
                pending.append((item, where, depth + 1))
            elif isinstance(item, h5py.Dataset):
                declared += _declared_bytes(shown, where, item)
                check_declared(shown, where, declared, max_bytes)
            else:
                raise fault(shown, where, "is neither a group nor a data set")


def _declared_bytes(shown: str, where: str, item: h5py.Dataset) -> int:
    if item.is_virtual:
        raise fault(shown, where, "is a virtual data set, which is refused")
    if item.external:
        raise fault(shown, where, "lies in another file, which is refused")
    plan = item.id.get_create_plist()
    for position in range(plan.get_nfilters()):
        code = plan.get_filter(position)[0]
        if code not in _FILTERS:
            raise fault(
                shown, where, f"uses filter {code}; only gzip, shuffle and fletcher32 are read"
            )
    width = int(item.id.get_type().get_size())
    # A chunk is held whole, however little of it is asked for.
    if item.chunks and math.prod(item.chunks) * width > _MAX_CHUNK_BYTES:
        raise fault(shown, where, f"has chunks of more than {_MAX_CHUNK_BYTES:,} bytes")
    declared = int(item.size or 0) * width
    ratio = _MAX_RATIO if plan.get_nfilters() else 1
    if item.id.get_storage_size() * ratio < declared:
        raise fault(shown, where, "declares more than the file stores")
    return declared
