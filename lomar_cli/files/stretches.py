"""Rounds read in blocks of parameters over all clients, each number once, in the file's order.

The parameters of a round count from 0 in the order of its tensors, each in C order. A block is a
stretch of this count: it may hold a part of a large tensor, or several small ones side by side.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.joined import Joined
from lomar_cli.files.updates import Tensor, held

Floats = NDArray[np.floating[Any]]
T = TypeVar("T")
_LEAST = 2**20
_MOST = 2**24
# A part of a tensor that fills less than this share of a block shares it with others.
_SMALL = 8


@dataclass(frozen=True)
class Piece:
    """A tensor's part of a stretch: its columns in the block, and where these lie in the tensor."""

    name: str
    start: int
    columns: slice


@dataclass(frozen=True)
class Stretch:
    """Some parameters of all clients, ``block`` (clients, columns), valid until the next one."""

    block: Floats
    pieces: tuple[Piece, ...]

    @cached_property
    def magnitudes(self) -> list[Floats]:
        """The largest absolute value of every row in each piece, shape (clients,), as they came."""
        return [largest(self.block[:, piece.columns]) for piece in self.pieces]

    def magnitude(self) -> NDArray[np.float64]:
        """The largest of every row of the block; NaN or inf if it has one."""
        found: NDArray[np.float64] = np.maximum.reduce(self.magnitudes).astype(np.float64)
        return found


class Consumer(Protocol):
    """What can look at a round while it is read."""

    def feed(self, stretch: Stretch) -> None: ...


def width(memory: int) -> int:
    """How many bytes a stretch may have within a budget: blocks are held several times at once."""
    return min(_MOST, max(_LEAST, memory // 16))


def stretches(
    tensors: Mapping[str, Tensor], max_bytes: int, which: range | None = None
) -> Iterator[Stretch]:
    """Read all tensors, (clients, \\*shape) each, in blocks of at most ``max_bytes``.

    A block holds numbers of one type, as they are stored, and at least one column. Two buffers are
    used in turn, so that one block can be read while the last is looked at. ``which`` of them, by
    number from 0, are read (None: all).
    """
    clients = next(iter(tensors.values())).shape[0]
    most = _most(tensors, max_bytes)
    buffers: list[NDArray[np.uint8]] = []
    for number, (dtype, spans) in enumerate(_packed(tensors, most)):
        if which is not None and number not in which:
            continue
        pieces, used = [], 0
        for name, start, _, size in spans:
            pieces.append(Piece(name, start, slice(used, used + size)))
            used += size
        name, _, key, _ = spans[0]
        if len(spans) == 1 and isinstance(tensors[name], np.ndarray):
            block = np.asarray(tensors[name][key], dtype).reshape(clients, -1)
            yield Stretch(block, tuple(pieces))
            continue
        if len(buffers) < 2:
            buffers.append(np.empty(clients * most, np.uint8))
        buffers.reverse()
        block = buffers[0][: clients * used * dtype.itemsize].view(dtype).reshape(clients, used)
        if len(spans) == 1:
            _read(tensors[name], key, block)
        else:
            for piece, (name, _, key, _) in zip(pieces, spans, strict=True):
                block[:, piece.columns] = np.asarray(tensors[name][key]).reshape(clients, -1)
        yield Stretch(block, tuple(pieces))


def count(tensors: Mapping[str, Tensor], max_bytes: int) -> int:
    """How many stretches these tensors are read in; nothing is read."""
    return sum(1 for _ in _packed(tensors, _most(tensors, max_bytes)))


def _most(tensors: Mapping[str, Tensor], max_bytes: int) -> int:
    """Bytes of one client in a block: of any of the types, at least one number."""
    # Of a part of the clients all are read.
    clients = max(held(tensor) for tensor in tensors.values())
    all_of_one = sum(math.prod(t.shape[1:]) * t.dtype.itemsize for t in tensors.values())
    return int(min(max(max_bytes // max(1, clients), 8), max(all_of_one, 8)) // 8 * 8)


def ahead(source: Iterator[T]) -> Generator[T, None, None]:
    """The same items, each one made on another thread while the one before is looked at.

    What fails there is raised in place of the item. Close it, or use it up: that ends the thread.
    """
    with ThreadPoolExecutor(1, "lomar-ahead") as pool:
        done = object()
        coming = pool.submit(next, source, done)
        while True:
            item = coming.result()
            if item is done:
                return
            coming = pool.submit(next, source, done)
            yield item  # type: ignore[misc]


def largest(block: Floats) -> Floats:
    """The largest absolute value of every row of ``block`` (n, d), shape (n,)."""
    with np.errstate(invalid="ignore"):
        found: Floats = np.maximum(block.max(axis=1), -block.min(axis=1))
    return found


_Span = tuple[str, int, tuple[Any, ...], int]


def _packed(
    tensors: Mapping[str, Tensor], most: int
) -> Iterator[tuple[np.dtype[Any], list[_Span]]]:
    """Spans of the tensors in order: large ones alone, small ones of one type together.

    No more than ``most`` bytes a client at a time.
    """
    pending: list[_Span] = []
    last, room = np.dtype(np.float32), 0
    for name, tensor in tensors.items():
        dtype = np.dtype(tensor.dtype).newbyteorder("=")
        columns = most // dtype.itemsize
        if dtype != last and pending:
            yield last, pending
            pending = []
        if not pending:
            room = columns
        for start, key, size in _spans(tensor, columns):
            if pending and (size > room or size > columns // _SMALL):
                yield last, pending
                pending, room = [], columns
            if size > columns // _SMALL:
                yield dtype, [(name, start, key, size)]
                continue
            last = dtype
            pending.append((name, start, key, size))
            room -= size
    if pending:
        yield last, pending


def _spans(tensor: Tensor, columns: int) -> Iterator[tuple[int, tuple[Any, ...], int]]:
    """Cut one tensor: where each part starts, its key, and its number of parameters.

    Parts go along the chunks of a compressed data set where a chunk is smaller than a part; other
    chunks can be read in parts.
    """
    shape = tensor.shape[1:]
    if not shape:
        yield 0, (slice(None),), 1
        return
    axis = 0
    while math.prod(shape[axis + 1 :]) > columns:
        axis += 1
    inner = math.prod(shape[axis + 1 :])
    step = min(shape[axis], columns // inner)
    stored = tensor.parts[0] if isinstance(tensor, Joined) else tensor
    if isinstance(stored, h5py.Dataset) and (stored.compression or stored.shuffle):
        along = stored.chunks[1 + axis]
        if along < step < shape[axis]:
            step -= step % along
    at = 0
    for lead in np.ndindex(*shape[:axis]):
        for start in range(0, shape[axis], step):
            stop = min(shape[axis], start + step)
            size = (stop - start) * inner
            yield at, (slice(None), *lead, slice(start, stop)), size
            at += size


def _read(tensor: Tensor, key: tuple[Any, ...], block: Floats) -> None:
    """Read a part of a tensor into a contiguous block (clients, columns)."""
    if isinstance(tensor, Joined):
        tensor.read(block, lambda part, rows: _read(part, key, rows))
        return
    if not isinstance(tensor, h5py.Dataset):
        block[:] = np.asarray(tensor[key]).reshape(block.shape)
        return
    # Seen with the data set's own axes: between other shapes HDF5 copies number by number.
    first, extent = [0], [len(block)]
    for part in key[1:]:
        within = isinstance(part, slice)
        first.append(part.start if within else part)
        extent.append(part.stop - part.start if within else 1)
    rest = tensor.shape[len(key) :]
    there = tensor.id.get_space()
    there.select_hyperslab((*first, *(0 for _ in rest)), (*extent, *rest))
    here = h5py.h5s.create_simple((*extent, *rest))
    tensor.id.read(here, there, block)
