"""``.safetensors``, checked by its published layout and read without torch.

A file is a little-endian length of 8 bytes, a JSON header of that length, and the tensors end to
end. Metadata ``client_ids`` (a JSON list) makes the first axis of every tensor the clients; so
``lomar export`` writes a round.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import InputError
from lomar_cli.files.arrays import blocks
from lomar_cli.files.importers.base import (
    CLIENT_IDS,
    NUM_EXAMPLES,
    One,
    check_declared,
    check_rows,
    fault,
    from_bfloat16,
    one_client,
    row_counts,
    whole_count,
)
from lomar_cli.files.text import printable

# The largest header that the format allows, and the most tensors that are believed.
MAX_HEADER = 100_000_000
_MAX_TENSORS = 20_000
_METADATA = "__metadata__"
_TYPES = {
    "BOOL": "|b1",
    "U8": "|u1",
    "I8": "|i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "BF16": "<u2",
    "F32": "<f4",
    "F64": "<f8",
}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items() if name != "BF16"}
_MAX_DIMENSIONS = 32


@dataclass(frozen=True)
class _Tensor:
    kind: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class _Header:
    tensors: Mapping[str, _Tensor]
    metadata: Mapping[str, str]


def recognises(path: Path, head: bytes) -> bool:
    return len(head) > 8 and re.match(rb"\{\s*[\"}]", head[8:]) is not None


def clients(path: Path, max_bytes: int) -> list[str] | None:
    return _clients(printable(str(path)), _header(path, max_bytes))


def read(path: Path, max_bytes: int) -> Iterator[One]:
    shown = printable(str(path))
    header = _header(path, max_bytes)
    names = _clients(shown, header)
    bfloat = [name for name, tensor in header.tensors.items() if tensor.kind == "BF16"]
    try:
        with path.open("rb") as stream:
            if names is None:
                found = {n: _load(stream, shown, n, t) for n, t in header.tensors.items()}
                one = one_client(shown, found, bfloat)
                yield One(one.arrays, one.types, _said(shown, header, one.num_examples))
                return
            tensors = dict(header.tensors)
            listed = tensors.pop(NUM_EXAMPLES, None)
            counts = None
            if listed is not None:
                values = _load(stream, shown, NUM_EXAMPLES, listed)
                counts = row_counts(shown, values, len(names))
            for name, tensor in tensors.items():
                check_rows(shown, name, tensor.shape, len(names))
            for row in range(len(names)):
                found = {n: _load(stream, shown, n, t, row) for n, t in tensors.items()}
                one = one_client(shown, found, bfloat)
                yield One(one.arrays, one.types, counts[row] if counts else None)
    except OSError as error:
        raise InputError(f"{shown}: cannot be read: {error.strerror or error}") from None


def write(
    stream: IO[bytes], tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays or data sets in their order; ``|V2`` stands for the bits of bfloat16."""
    header: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    place = 0
    for name, tensor in tensors.items():
        dtype = np.dtype(tensor.dtype).newbyteorder("<")
        size = math.prod(tensor.shape) * dtype.itemsize
        header[name] = {
            "dtype": "BF16" if dtype.kind == "V" else _NAMES[dtype],
            "shape": list(tensor.shape),
            "data_offsets": [place, place + size],
        }
        place += size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    stream.write(len(text).to_bytes(8, "little") + text)
    for tensor in tensors.values():
        for block in blocks(tensor, little=True):
            stream.write(block.data)


def _header(path: Path, max_bytes: int) -> _Header:
    """Read and check the header: every tensor lies in the file, and no two overlap."""
    shown = printable(str(path))
    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > min(MAX_HEADER, size - 8):
                raise fault(
                    shown, "header", f"declares {length:,} bytes, but only {size - 8:,} are there"
                )
            text = stream.read(length)
    except OSError as error:
        raise InputError(f"{shown}: cannot be read: {error.strerror or error}") from None
    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=_once)
    except _Twice as twice:
        raise fault(shown, str(twice), "is there twice") from None
    except (ValueError, RecursionError):
        raise fault(shown, "header", "is no valid JSON") from None
    if not isinstance(document, dict):
        raise fault(shown, "header", "must be a JSON object")
    metadata = document.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise fault(shown, _METADATA, "must hold texts")
    if len(document) > _MAX_TENSORS:
        raise InputError(f"{shown}: holds {len(document)} tensors, more than {_MAX_TENSORS}")
    tensors = {name: _tensor(shown, name, about, length) for name, about in document.items()}
    ordered = dict(sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)))
    place = 8 + length
    for name, tensor in ordered.items():
        if tensor.start != place:
            what = "overlaps another tensor" if tensor.start < place else "leaves a hole before it"
            raise fault(shown, name, f"data_offsets: {what}")
        place = tensor.end
    check_declared(shown, "header", place, max_bytes)
    if place != size:
        raise fault(
            shown, "header", f"the tensors end at byte {place:,}, but the file has {size:,}"
        )
    return _Header(ordered, metadata)


class _Twice(Exception):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Twice(key)
        found[key] = value
    return found


def _tensor(shown: str, name: str, about: Any, length: int) -> _Tensor:
    if not isinstance(about, dict) or set(about) != {"dtype", "shape", "data_offsets"}:
        raise fault(shown, name, "must have dtype, shape and data_offsets, and nothing else")
    kind, shape, offsets = about["dtype"], about["shape"], about["data_offsets"]
    if not isinstance(kind, str) or kind not in _TYPES:
        raise fault(
            shown,
            name,
            f"has type {printable(str(kind), 20)}, parameters are F16, BF16, F32 or F64",
        )
    if not _whole(shape) or len(shape) > _MAX_DIMENSIONS:
        raise fault(shown, name, "shape: must be a list of whole numbers from 0")
    if not _whole(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise fault(shown, name, "data_offsets: must be two whole numbers, the smaller first")
    wanted = math.prod(shape) * np.dtype(_TYPES[kind]).itemsize
    if wanted != offsets[1] - offsets[0]:
        raise fault(
            shown,
            name,
            f"data_offsets: span {offsets[1] - offsets[0]:,} bytes, the shape needs {wanted:,}",
        )
    return _Tensor(kind, tuple(shape), 8 + length + offsets[0], 8 + length + offsets[1])


def _whole(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 2**63 for v in values
    )


def _load(
    stream: IO[bytes], shown: str, name: str, tensor: _Tensor, row: int | None = None
) -> NDArray[Any]:
    """One tensor, or one row of it."""
    start, size, shape = tensor.start, tensor.end - tensor.start, tensor.shape
    if row is not None:
        size //= shape[0]
        start, shape = start + row * size, shape[1:]
    stream.seek(start)
    raw = stream.read(size)
    if len(raw) != size:
        raise fault(shown, name, "is cut short")
    if tensor.kind == "BOOL" and raw.strip(b"\0\1"):
        raise fault(shown, name, "holds truth values that are neither 0 nor 1")
    values = np.frombuffer(raw, _TYPES[tensor.kind]).reshape(shape)
    return from_bfloat16(values) if tensor.kind == "BF16" else values


def _clients(shown: str, header: _Header) -> list[str] | None:
    text = header.metadata.get(CLIENT_IDS)
    if text is None:
        return None
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise fault(shown, CLIENT_IDS, "must be a JSON list of names")
    return list(names)


def _said(shown: str, header: _Header, inside: int | None) -> int | None:
    """The number of samples: of a tensor, or of the metadata, whose values are texts."""
    text = header.metadata.get(NUM_EXAMPLES)
    if inside is not None or text is None:
        return inside
    if re.fullmatch(r"\d{1,16}", text, re.ASCII):
        return whole_count(shown, int(text))
    try:
        return whole_count(shown, float(text))
    except ValueError:
        raise fault(shown, NUM_EXAMPLES, "must be a whole number from 0") from None
