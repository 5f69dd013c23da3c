"""Foreign HDF5: the refusals of our own reader, for deeper groups and other people's attributes.

Attributes are not looked at here: whoever wants one reads that one, by its type.
"""

from __future__ import annotations

import h5py

from lomar_cli.files.bombs import check_unpacked
from lomar_cli.files.h5_inert import stored_bytes, walk
from lomar_cli.files.importers.base import check_declared, fault
from lomar_cli.files.text import printable

# Keras nests a layer inside a model inside a model; a path longer than this is no layer's.
_MAX_DEPTH = 32
_MAX_ATTRIBUTES = 1000


def check_inert(shown: str, handle: h5py.File, stored: int, max_bytes: int) -> None:
    """Raise InputError unless all of an open file is plain and small enough to be read.

    ``stored`` are the bytes of the file itself.
    """
    declared = 0
    _check_count(shown, "/", handle)
    for where, item in walk(shown, handle, _MAX_DEPTH):
        if isinstance(item, h5py.Group):
            _check_count(shown, where, item)
        else:
            declared += stored_bytes(f"{shown}: {printable(where, 60)}", item)
            check_declared(shown, where, declared, max_bytes)
    check_unpacked(shown, declared, stored)


def _check_count(shown: str, where: str, group: h5py.Group) -> None:
    if len(group.attrs) > _MAX_ATTRIBUTES:
        raise fault(shown, where, f"has more than {_MAX_ATTRIBUTES} attributes")
