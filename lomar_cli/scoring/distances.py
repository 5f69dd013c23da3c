"""Squared Euclidean distances between clients by one matrix product, without cancellation.

``|a - b|^2 = |a|^2 + |b|^2 - 2 a.b`` costs a single Gram product, but loses every digit when two
updates lie much closer to each other than to the origin: a common offset, or near-copies. So the
updates are centred first, and groups of clients that are still close in this sense are centred
on one of their own and multiplied again.

Parameters may come in blocks of columns, whose squared distances add up. The matrix is made tile by
tile above the diagonal, so that beside the sum itself only a tile and the centred block are held.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lomar_cli.threads import one_blas_thread

Floats = NDArray[np.floating[Any]]

# Rows of a tile: its numbers stay in the processor's cache from the product to the sum (measured).
TILE = 768
_FEW = 8


class Adder(Protocol):
    """Sums up squared distances over blocks of columns."""

    def add(self, x: Floats, magnitude: Floats | None = None) -> None: ...

    def finish(self) -> Floats: ...


# Makes an adder for so many clients, in this type, on so many threads.
MakeAdder = Callable[[int, np.dtype[Any], int], Adder]


class SquareSum:
    """The (n, n) squared distances between n clients whose parameters come in blocks of columns.

    ``jobs`` threads share the tiles; the numbers do not depend on it.
    """

    def __init__(self, count: int, dtype: np.dtype[Any], jobs: int = 1) -> None:
        self._total: Floats = np.zeros((count, count), dtype)
        self._jobs = jobs
        self._tiles = list(_tiles(count))

    def add(self, x: Floats, magnitude: Floats | None = None) -> None:
        """Add the squared distances over the columns of ``x`` (n, d).

        ``magnitude`` (n,), the largest absolute value of each row, keeps a few huge rows out of
        the centre; it is computed when not given.
        """
        self.add_centred(centred(x, magnitude))

    def finish(self) -> Floats:
        """The sum, symmetric to the last bit, its diagonal exactly 0. Nothing is added later."""
        mirror(self._total, self._tiles)
        np.fill_diagonal(self._total, 0)
        return self._total

    def add_centred(self, x: Floats) -> None:
        """The same for columns that are centred already."""
        work = _Block(x)

        def one(tile: tuple[slice, slice]) -> None:
            self._total[tile] += work.tile(*tile)

        # First the tiles on the diagonal, which hold the lengths that the others need.
        on = [tile for tile in self._tiles if tile[0] == tile[1]]
        off = [tile for tile in self._tiles if tile[0] != tile[1]]
        if self._jobs == 1 or not off:
            for tile in [*on, *off]:
                one(tile)
        else:
            with one_blas_thread(), ThreadPoolExecutor(self._jobs) as pool:
                list(pool.map(one, on))
                list(pool.map(one, off))
        if work.doubtful is not None:
            mirror(work.doubtful, self._tiles)
            add_recentred(self._total, x, work.doubtful, self._jobs)


def add_recentred(total: Floats, x: Floats, doubtful: NDArray[np.bool_], jobs: int = 1) -> None:
    """Add to ``total`` (n, n) the squares of the ``doubtful`` pairs of ``x`` (n, d), symmetric.

    Each group of clients that such pairs link is centred on one of its members.
    """
    for group in components(doubtful):
        # The member that becomes the new centre has length 0, so it leaves the group at the next
        # level: this ends.
        inner = SquareSum(len(group), x.dtype, jobs)
        inner.add_centred(x[group] - x[group[0]])
        inside = np.ix_(group, group)
        total[inside] += np.where(doubtful[inside], inner.finish(), 0)


class _Block:
    """One block of columns: its squares tile by tile, and the pairs that lost their digits."""

    def __init__(self, x: Floats) -> None:
        self._x = x
        self._lengths: Floats = np.zeros(len(x), x.dtype)
        self._tolerance = x.dtype.type(tolerance(x.dtype))
        self._lock = Lock()
        # (n, n), above the diagonal, once there are any: most blocks have none.
        self.doubtful: NDArray[np.bool_] | None = None

    def tile(self, rows: slice, columns: slice) -> Floats:
        """The squares of one tile; those that lost their digits are 0 and marked."""
        diagonal = rows == columns
        if self._x.shape[1] <= _FEW:
            return self._by_column(rows, columns)
        squares: Floats = self._x[rows] @ self._x[columns].T
        if diagonal:
            self._lengths[rows] = squares.diagonal()
        one, other = self._lengths[rows], self._lengths[columns]
        squares *= -2
        squares += one[:, None]
        squares += other
        if diagonal:
            np.fill_diagonal(squares, np.inf)
        # Quick when, as nearly always, no pair of the tile is near the limit of the longest two.
        if not squares.min() >= self._tolerance * (one.max() + other.max()):
            lost = squares < self._tolerance * (one[:, None] + other)
            if lost.any():
                self._mark(rows, columns, lost)
                squares[lost] = 0
            np.maximum(squares, 0, out=squares)
        if diagonal:
            np.fill_diagonal(squares, 0)
        return squares

    def _by_column(self, rows: slice, columns: slice) -> Floats:
        """With few columns many pairs are close by chance; their differences are quicker then."""
        one, other = self._x[rows], self._x[columns]
        squares: Floats = np.zeros((len(one), len(other)), self._x.dtype)
        for place in range(self._x.shape[1]):
            difference = one[:, place, None] - other[:, place]
            difference *= difference
            squares += difference
        return squares

    def _mark(self, rows: slice, columns: slice, lost: NDArray[np.bool_]) -> None:
        with self._lock:
            if self.doubtful is None:
                self.doubtful = np.zeros((len(self._x), len(self._x)), dtype=bool)
            self.doubtful[rows, columns] = lost


def squared_distances(x: Floats, magnitude: Floats | None = None) -> Floats:
    """Return the (n, n) squared distances between the rows of ``x`` (n, d), in its own dtype.

    ``magnitude`` is as for :meth:`SquareSum.add`. The diagonal is exactly 0.
    """
    total = SquareSum(len(x), x.dtype)
    total.add(x, magnitude)
    return total.finish()


def centred(x: Floats, magnitude: Floats | None = None) -> Floats:
    """A copy of ``x`` (n, d) less the mean of its rows of ordinary size."""
    ordinary = is_ordinary(x, magnitude)
    centre = x[ordinary].mean(axis=0, dtype=np.float64) if not ordinary.all() else x.mean(axis=0)
    moved: Floats = x - centre.astype(x.dtype)
    return moved


def is_ordinary(x: Floats, magnitude: Floats | None = None) -> NDArray[np.bool_]:
    """The rows of ``x`` (n, d), of these largest absolute values, that are none of a few giants."""
    if magnitude is None:
        magnitude = np.maximum(x.max(axis=1), -x.min(axis=1))
    ordinary: NDArray[np.bool_] = magnitude <= 10 * np.median(magnitude)
    return ordinary


def mirror(matrix: NDArray[Any], tiles: list[tuple[slice, slice]]) -> None:
    """Copy the tiles above the diagonal, and the upper half of those on it, to below it."""
    for rows, columns in tiles:
        if rows == columns:
            upper = np.triu(matrix[rows, columns])
            # Both halves hold the same, but for the last bit of a product.
            lower = np.triu(matrix[rows, columns], 1).T
            matrix[rows, columns] = upper | lower if matrix.dtype == bool else upper + lower
        else:
            matrix[columns, rows] = matrix[rows, columns].T


def _tiles(count: int) -> Iterator[tuple[slice, slice]]:
    """Tiles on and above the diagonal, of nearly equal sizes."""
    number = max(1, -(-count // TILE))
    edges = [count * part // number for part in range(number + 1)]
    parts = [slice(a, b) for a, b in itertools.pairwise(edges)]
    for place, rows in enumerate(parts):
        for columns in parts[place:]:
            yield rows, columns


def tolerance(dtype: np.dtype[Any]) -> float:
    """Below this share of the lengths, about half of the digits of a square are lost."""
    return 4 * float(np.sqrt(np.finfo(dtype).eps))


def components(linked: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Groups of two or more clients that are linked, directly or through others."""
    left = linked.any(axis=1)
    groups = []
    while left.any():
        member = np.zeros(len(linked), dtype=bool)
        edge = np.zeros(len(linked), dtype=bool)
        edge[int(left.argmax())] = True
        while edge.any():
            member |= edge
            edge = linked[edge].any(axis=0) & ~member
        left &= ~member
        groups.append(np.flatnonzero(member))
    return groups
