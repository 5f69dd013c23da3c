"""Text in our HDF5 files: strings of a fixed length, never of a variable one.

Variable-length strings lie on HDF5's global heap, which has no checksum, and which the library
walks without end when it is damaged. Fixed-length strings lie where numbers would lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import h5py
import numpy as np

MAX_TEXT = 64 * 2**20
_ROWS = 4096


def write_text(target: h5py.HLObject, name: str, value: str) -> None:
    """Write the string attribute ``name``: UTF-8, padded with zero bytes, at least one byte."""
    raw = _encoded(value)
    kind = _dtype(len(raw))
    target.attrs.create(name, np.array(raw, kind), dtype=kind)


def write_scalar(group: h5py.Group, name: str, value: str) -> None:
    """Write one string as a data set without dimensions."""
    raw = _encoded(value)
    group.create_dataset(name, data=np.array(raw, _dtype(len(raw))))


def write_strings(group: h5py.Group, name: str, values: Sequence[str], **more: Any) -> None:
    """Write a list of strings, each in as many bytes as the longest needs."""
    raw = [_encoded(value) for value in values]
    width = max((len(value) for value in raw), default=1)
    group.create_dataset(name, data=np.array(raw, _dtype(width)), **more)


def stored_strings(found: h5py.Dataset) -> Iterator[bytes]:
    """The strings of a data set one by one, without their padding.

    Padding counts for nothing, so a few strings may be much longer than the others; ValueError
    beyond ``MAX_TEXT`` bytes altogether.
    """
    if not found.shape:
        yield bytes(found[()])
        return
    total = 0
    step = max(1, min(_ROWS, MAX_TEXT // max(1, 8 * found.dtype.itemsize)))
    for start in range(0, found.shape[0], step):
        for value in found[start : start + step]:
            total += len(value)
            if total > MAX_TEXT:
                raise ValueError(f"holds more than {MAX_TEXT:,} bytes of text")
            yield bytes(value)


def _encoded(value: str) -> bytes:
    raw = value.encode("utf-8")
    if raw.endswith(b"\0"):
        raise ValueError("text that ends with a zero byte cannot be stored")
    return raw


def _dtype(width: int) -> np.dtype[Any]:
    found: np.dtype[Any] = h5py.string_dtype("utf-8", max(1, width))
    return found
