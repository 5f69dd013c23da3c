"""Flower's array records, as ``array_record_to_proto(record).SerializeToString()`` writes them.

The message (flwr 1.42, ``flwr/proto/recorddict.proto``) is a list of items (field 1), each a key
(1) and an array (2) with its type (1), shape (2), kind of serialisation (3, ``numpy.ndarray``) and
bytes (4), which are an npy file. A ConfigRecord or pickle is none.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from lomar_cli.errors import InputError
from lomar_cli.files.arrays import NPY
from lomar_cli.files.importers.base import One, check_declared, fault, one_client
from lomar_cli.files.npy import read_npy
from lomar_cli.files.text import printable

_NUMPY = b"numpy.ndarray"
_BYTES = 2
_MAX_ARRAYS = 20_000


def recognises(path: Path, head: bytes) -> bool:
    """Field 1 first, and what Flower says of every array near the beginning."""
    return head.startswith(b"\x0a") and _NUMPY in head and NPY in head


def clients(path: Path, max_bytes: int) -> list[str] | None:
    return None


def read(path: Path, max_bytes: int) -> Iterator[One]:
    shown = printable(str(path))
    check_declared(shown, "the file", path.stat().st_size, max_bytes)
    content = memoryview(path.read_bytes())
    found: dict[str, NDArray[Any]] = {}
    try:
        for number, item in _fields(content):
            if number != 1:
                raise ValueError(f"field {number} is not of an array record")
            name, array = _item(shown, item, max_bytes)
            if name in found:
                raise fault(shown, name, "is there twice")
            found[name] = array
            if len(found) > _MAX_ARRAYS:
                raise InputError(f"{shown}: holds more than {_MAX_ARRAYS} arrays")
    except (ValueError, IndexError) as error:
        raise InputError(
            f"{shown}: is a truncated or damaged Flower array record ({printable(str(error), 60)})"
        ) from None
    yield one_client(shown, found)


def _item(shown: str, item: memoryview, max_bytes: int) -> tuple[str, NDArray[Any]]:
    parts = dict(_fields(item))
    name = bytes(parts.get(1, b"")).decode("utf-8")
    array = dict(_fields(parts[2])) if 2 in parts else {}
    if bytes(array.get(3, b"")) != _NUMPY or 4 not in array:
        raise fault(shown, name, "is no serialised numpy.ndarray")
    raw = array[4]
    return name, read_npy(io.BytesIO(raw), len(raw), shown, name, max_bytes, "fiub")


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a protobuf message that are bytes; those of numbers are passed over."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        if tag & 7 == _BYTES:
            size, place = _varint(message, place)
            if size > len(message) - place:
                raise ValueError("a field goes beyond the end")
            yield tag >> 3, message[place : place + size]
            place += size
        elif tag & 7 == 0:
            _, place = _varint(message, place)
        else:
            raise ValueError(f"wire type {tag & 7}")


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number is too long")
