"""Each client's nearest others, from a matrix of squared distances, a few rows at a time.

A round of 10,000 clients has a matrix of 800 MB: nothing here copies the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.scoring.selection import select_in_rows

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
_CELLS = 2**21


@dataclass(frozen=True)
class Profile:
    """How far the others are: distances (n,) to the second nearest and the k-th nearest client,
    and the mean over the k nearest.
    """

    second: NDArray[np.float64]
    kth: NDArray[np.float64]
    mean: NDArray[np.float64]


class Neighbourhoods:
    """Who is whose neighbour, and quick access to numbers of all (client, neighbour) pairs.

    ``mask`` (n, n) has at least one True in every row. ``counts`` (n,) are the sizes of the
    neighbourhoods, ``starts`` (n,) where each one's pairs begin among all pairs in row order.
    """

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self.counts = mask.sum(axis=1)
        self.starts = np.concatenate([[0], np.cumsum(self.counts)[:-1]])
        # Positions are quickest, but take eight bytes a pair.
        self._index = np.flatnonzero(mask) if mask.size <= 2 * _CELLS else None

    def pick(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """The entries of an (n, n) matrix that belong to pairs, shape (pairs,)."""
        if self._index is not None:
            return np.take(matrix, self._index)
        pairs = np.empty(int(self.counts.sum()), matrix.dtype)
        for rows in row_blocks(len(matrix), len(matrix)):
            at = np.flatnonzero(self.mask[rows])
            start = int(self.starts[rows.start])
            np.take(matrix[rows], at, out=pairs[start : start + len(at)], mode="clip")
        return pairs

    def sums(self, terms: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of ``terms`` (n, R) over the neighbours of every client."""
        found = np.empty_like(terms)
        for rows in self.row_blocks():
            found[rows] = self.mask[rows].astype(np.float64) @ terms
        return found

    def of_neighbours(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """``values`` (n,) of the neighbour of every pair, shape (pairs,)."""
        found: NDArray[np.float64] = self.pick(np.broadcast_to(values, self.mask.shape))
        return found

    def row_blocks(self) -> Iterator[slice]:
        """Some clients at a time, in order."""
        return row_blocks(len(self.counts), len(self.counts))


def neighbourhoods(squares: Floats, k: int, dtype: np.dtype[Any], jobs: int = 1) -> Neighbourhoods:
    """The k nearest others of every client, k in [1, n - 1], and who is as far within rounding.

    ``dtype`` is what the squares were computed in, whatever they are held in.
    """
    mask: Mask = np.empty(squares.shape, dtype=bool)
    slack = 1 + 32 * float(np.finfo(dtype).eps)

    def one(rows: slice) -> None:
        others = _others(squares, rows)
        furthest = np.partition(others, k - 1, axis=1)[:, k - 1]
        np.less_equal(others, (furthest * slack)[:, None], out=mask[rows])

    _each(len(squares), one, jobs)
    np.fill_diagonal(mask, False)
    return Neighbourhoods(mask)


def kth_distances(squares: Floats, ks: Sequence[int], jobs: int = 1) -> NDArray[np.float64]:
    """Distances (n, len(ks)) to the k-th nearest other client, for each k in [1, n - 1]."""
    found = np.empty((len(squares), len(ks)))
    places = [k - 1 for k in ks]

    def one(rows: slice) -> None:
        others = _others(squares, rows)
        select_in_rows(others, places)
        found[rows] = np.sqrt(others[:, places], dtype=np.float64)

    _each(len(squares), one, jobs)
    return found


def profile(squares: Floats, k: int, jobs: int = 1) -> Profile:
    """The distances of every client to its nearest others; ``k`` in [1, n - 1].

    With one other client, the second nearest is the nearest.
    """
    count = len(squares)
    second, last = min(2, count - 1) - 1, k - 1
    found = np.empty((3, count))

    def one(rows: slice) -> None:
        others = _others(squares, rows)
        select_in_rows(others, {second, last})
        found[0, rows] = np.sqrt(others[:, second], dtype=np.float64)
        found[1, rows] = np.sqrt(others[:, last], dtype=np.float64)
        found[2, rows] = np.sqrt(others[:, :k]).mean(axis=1, dtype=np.float64)

    _each(count, one, jobs)
    return Profile(*found)


def row_blocks(count: int, columns: int) -> Iterator[slice]:
    """All rows, so many at a time that a block of them is small."""
    step = max(1, _CELLS // max(1, columns))
    for start in range(0, count, step):
        yield slice(start, min(count, start + step))


def _others(squares: Floats, rows: slice) -> Floats:
    """A copy of some rows, with infinity where a client meets itself."""
    others = squares[rows].copy()
    others[np.arange(len(others)), np.arange(rows.start, rows.stop)] = np.inf
    return others


def _each(count: int, function: Callable[[slice], None], jobs: int) -> None:
    blocks = list(row_blocks(count, count))
    if jobs == 1 or len(blocks) == 1:
        for rows in blocks:
            function(rows)
        return
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(function, blocks))
