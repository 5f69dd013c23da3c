"""``.npz``: named arrays of one client, or of many when an array ``client_ids`` names them.

With ``client_ids`` the first axis of every other array is the clients; so ``lomar export`` writes
a round. The clients are read one by one, so that memory is bounded by one of them.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import InputError
from lomar_cli.files.arrays import (
    EMPTY_ZIP,
    ZIP,
    check_end,
    open_zip,
    read_arrays,
    read_member,
)
from lomar_cli.files.importers.base import (
    CLIENT_IDS,
    NUM_EXAMPLES,
    One,
    check_rows,
    fault,
    one_client,
    row_counts,
)
from lomar_cli.files.npy import NpyHead, read_exactly, read_npy_head
from lomar_cli.files.text import printable


def recognises(path: Path, head: bytes) -> bool:
    return head.startswith((ZIP, EMPTY_ZIP))


def clients(path: Path, max_bytes: int) -> list[str] | None:
    shown = printable(str(path))
    with open_zip(path, max_bytes) as archive:
        if CLIENT_IDS not in archive.members:
            return None
        ids = read_member(archive, CLIENT_IDS, "U")
        if ids.ndim != 1:
            raise fault(shown, CLIENT_IDS, "must be a list of names")
        # Python takes any number for a character here, and fails on such a text later.
        if ids.size and ids.view(np.uint32).max() > sys.maxunicode:
            raise fault(shown, CLIENT_IDS, "holds what is no text")
        return [str(name) for name in ids]


def read(path: Path, max_bytes: int) -> Iterator[One]:
    shown = printable(str(path))
    names = clients(path, max_bytes)
    if names is None:
        yield one_client(shown, read_arrays(path, max_bytes, "fiub"))
        return
    with contextlib.ExitStack() as stack:
        archive = stack.enter_context(open_zip(path, max_bytes))
        counts: list[int] | None = None
        rows: dict[str, Iterator[NDArray[Any]]] = {}
        for name, member in archive.members.items():
            if name == CLIENT_IDS:
                continue
            if name == NUM_EXAMPLES:
                counts = row_counts(shown, read_member(archive, name, "iuf"), len(names))
                continue
            inner = stack.enter_context(archive.file.open(member))
            head = read_npy_head(inner, member.file_size, shown, name, max_bytes, "fiub")
            check_rows(shown, name, head.shape, len(names))
            if head.fortran and len(head.shape) > 1:
                raise fault(shown, name, "lies in Fortran order; save it in C order")
            rows[name] = _rows(inner, head, shown, name)
        if not rows:
            raise InputError(f"{shown}: holds no arrays")
        for number in range(len(names)):
            found = one_client(shown, {name: next(each) for name, each in rows.items()})
            yield One(found.arrays, found.types, counts[number] if counts else None)


def _rows(stream: Any, head: NpyHead, shown: str, name: str) -> Iterator[NDArray[Any]]:
    shape = head.shape[1:]
    size = int(np.prod(shape, dtype=np.int64)) * head.dtype.itemsize
    for row in range(head.shape[0]):
        values = read_exactly(stream, size, shown, name).view(head.dtype).reshape(shape)
        if row == head.shape[0] - 1:
            check_end(stream, shown, name)
        yield values
