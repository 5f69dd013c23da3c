"""Tensors whose clients lie in several files, seen as one that is read a part at a time."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lomar_cli.files import h5
from lomar_cli.files.updates import Tensor

Block = NDArray[np.floating[Any]]


class Joined:
    """The clients of ``parts``, (clients of a file, \\*shape) each, one after another.

    ``paths`` are the files that the parts lie in: one that cannot be read is named. Numbers come
    in the first part's type, in this machine's byte order.
    """

    def __init__(self, parts: Sequence[Tensor], paths: Sequence[Path]) -> None:
        self.parts, self._paths = parts, paths
        # Where each part's clients start, and their number at the end.
        self._starts = [0, *itertools.accumulate(int(part.shape[0]) for part in parts)]
        self.shape = (self._starts[-1], *parts[0].shape[1:])
        self.dtype = np.dtype(parts[0].dtype).newbyteorder("=")

    def __getitem__(self, key: Any) -> Any:
        """The key's first entry takes one client, or a range, of which only its files are read."""
        first, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(first, int | np.integer):
            row = int(first)
            if not 0 <= row < self.shape[0]:
                raise IndexError(f"there is no client {row}")
            place = bisect_right(self._starts, row) - 1
            with h5.damage(self._paths[place], "updates"):
                found = self.parts[place][(row - self._starts[place], *rest)]
            return np.asarray(found, self.dtype)
        if not isinstance(first, slice) or first.step not in (None, 1):
            return self[(slice(None), *rest)][first]
        start, stop, _ = first.indices(self.shape[0])
        made: Block | None = None
        for part, own, there in self._within(start, max(start, stop)):
            piece = np.asarray(part[(own, *rest)])
            if made is None:
                made = np.empty((max(0, stop - start), *piece.shape[1:]), self.dtype)
            made[there] = piece
        return made

    def read(self, into: Block, one: Callable[[Tensor, Block], None]) -> None:
        """Let ``one`` read some of every part into its clients' rows of ``into``."""
        for part, _, there in self._within(0, self.shape[0]):
            one(part, into[there])

    def whole(self) -> Block:
        """All of it as an array; no part is held twice."""
        made: Block = np.empty(self.shape, self.dtype)
        self.read(made, _read_direct)
        return made

    def _within(self, start: int, stop: int) -> Iterator[tuple[Tensor, slice, slice]]:
        """The parts that hold clients ``start`` to ``stop``: which of theirs, and where they go."""
        for place, part in enumerate(self.parts):
            begin, end = self._starts[place], self._starts[place + 1]
            low, high = max(start, begin), min(stop, end)
            # An empty range has the shape of any part's.
            if low < high or (start == stop and place == 0):
                high = max(low, high)
                own = slice(low - begin, high - begin)
                with h5.damage(self._paths[place], "updates"):
                    yield part, own, slice(low - start, high - start)


def _read_direct(part: Tensor, into: Block) -> None:
    if isinstance(part, h5py.Dataset):
        part.read_direct(into)
    else:
        into[:] = part[:]
