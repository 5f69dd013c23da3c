"""Squared Euclidean distances between clients by one matrix product, without cancellation.

``|a - b|^2 = |a|^2 + |b|^2 - 2 a.b`` costs a single Gram product, but loses every digit when two
updates lie much closer to each other than to the origin: a common offset, or near-copies. So the
updates are centred first, and groups of clients that are still close in this sense are centred
on one of their own and multiplied again.

Parameters may come in blocks of columns, whose squared distances add up. The matrix is made tile by
tile above the diagonal, so that beside the sum itself only a tile and the centred block are held.

Products are made in the type of the updates, but all sums, of them and of the lengths, in float64:
in a round of d parameters without structure distances differ by one part in sqrt(2 d), and who
looks at that would see how float32 was rounded, which depends on how the round was cut. Only the
distances over one label's parameters alone (:func:`single`), to which nothing is added, and of
which only means of many are looked at, stay in the updates' type.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.stretches import largest
from lomar_cli.scoring.lengths import squared_lengths
from lomar_cli.threads import one_blas_thread

Floats = NDArray[np.floating[Any]]
Vector = NDArray[np.float64]
# Some clients of a round: by their range, or by their places.
Part = slice | NDArray[np.intp]

# Rows of a tile: its numbers stay in the processor's cache from the product to the sum (measured).
TILE = 768
# About so many columns are multiplied at a time: fewer are slower, and more take more memory.
COLUMNS = 4096
_FEW = 8
# Of so many rows at a time products become squares in the processor's cache.
_STRIP = 128
# Nearer than this share of their squared lengths, float32 products leave a pair fewer than six
# digits: the clients of such pairs are multiplied in float64.
_NEAR = 1 / 8
# A tile with more than this share of its pairs between such clients is multiplied only so.
_MOST = 1 / 2


class Adder(Protocol):
    """Sums up squared distances over blocks of columns."""

    def add(self, x: Floats, magnitude: Floats | None = None) -> None: ...

    def finish(self) -> NDArray[np.float64]: ...


# Makes an adder for so many clients, on so many threads.
MakeAdder = Callable[[int, int], Adder]


class SquareSum:
    """The (n, n) squared distances between n clients whose parameters come in blocks of columns.

    They are float64, of products in the blocks' own type. ``jobs`` threads share the tiles; the
    numbers do not depend on it.
    """

    def __init__(self, count: int, jobs: int = 1) -> None:
        # Minus half of the squares, but for lengths that their tiles still keep.
        self._sums = np.zeros((count, count))
        self._jobs = jobs
        self._tiles = [_Tile(*tile) for tile in tiles(count)]
        self._finished = False

    def add(self, x: Floats, magnitude: Floats | None = None) -> None:
        """Add the squared distances over the columns of ``x`` (n, d).

        ``magnitude`` (n,), the largest absolute value of each row, keeps a few huge rows out of
        the centre; it is computed when not given.
        """
        ordinary = is_ordinary(x, magnitude)
        for part in cut(x.shape[1], round(x.shape[1] / COLUMNS)):
            self.add_centred(centred(x[:, part], ordinary))

    def finish(self) -> NDArray[np.float64]:
        """The sum, symmetric to the last bit, its diagonal exactly 0. Nothing is added later."""
        if not self._finished:
            for tile in self._tiles:
                tile.finish(self._sums)
            mirror(self._sums, [tile.at for tile in self._tiles])
            np.fill_diagonal(self._sums, 0)
            self._finished = True
        return self._sums

    def add_centred(self, x: Floats) -> None:
        """The same for columns that are centred already."""
        work = _Block(x)

        def one(tile: _Tile) -> None:
            work.add_to(self._sums, tile)

        if self._jobs == 1 or len(self._tiles) == 1:
            for tile in self._tiles:
                one(tile)
        else:
            with one_blas_thread(), ThreadPoolExecutor(self._jobs) as pool:
                list(pool.map(one, self._tiles))
        if work.doubtful is not None:
            mirror(work.doubtful, [tile.at for tile in self._tiles])
            add_recentred(self._sums, x, work.doubtful, self._jobs, -0.5)


def add_recentred(
    total: NDArray[np.float64],
    x: Floats,
    doubtful: NDArray[np.bool_],
    jobs: int = 1,
    times: float = 1.0,
) -> None:
    """Add to ``total`` (n, n) ``times`` the squares of the ``doubtful`` pairs of ``x`` (n, d).

    Both are symmetric. Each group of clients that such pairs link is centred on one of its members.
    """
    for group in components(doubtful):
        # The member that becomes the new centre has length 0, so it leaves the group at the next
        # level: this ends.
        inner = SquareSum(len(group), jobs)
        inner.add_centred(x[group] - x[group[0]])
        inside = np.ix_(group, group)
        total[inside] += np.where(doubtful[inside], times * inner.finish(), 0)


class _Tile:
    """A tile of the sum, and what is known of it from block to block of columns."""

    def __init__(self, rows: slice, columns: slice) -> None:
        self.at = (rows, columns)
        one, other = rows.stop - rows.start, columns.stop - columns.start
        # Squared lengths, by row and by column, of blocks of whose squares it has the products.
        self._lengths = np.zeros(one), np.zeros(other)
        # The clients that have near ones in it: they need float64.
        self._rows, self._columns = np.zeros(one, dtype=bool), np.zeros(other, dtype=bool)

    def remember(self, near: NDArray[np.bool_]) -> None:
        """The clients of these pairs of the tile are near each other."""
        self._rows |= near.any(axis=1)
        self._columns |= near.any(axis=0)
        if self.at[0] is self.at[1]:
            self._columns = self._rows = self._rows | self._columns

    @property
    def share(self) -> float:
        """Of the tile's pairs, those between clients that have near ones."""
        return float(self._rows.mean() * self._columns.mean())

    def places(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where these are in the tile, by row and by column."""
        return np.flatnonzero(self._rows), np.flatnonzero(self._columns)

    def add(
        self,
        sums: NDArray[np.float64],
        products: Floats,
        lengths: Vector,
        lost: NDArray[np.bool_] | None = None,
    ) -> None:
        """Add a block of columns to ``sums``, its squares in ``lost`` pairs as 0.

        ``products`` are those of the tile, ``lengths`` (n,) the squared ones of all clients.
        """
        one, other = (lengths[part] for part in self.at)
        if lost is None:
            sums[self.at] += products
            for known, more in zip(self._lengths, (one, other), strict=True):
                known += more
            return
        # At once, as what is 0 has to stay it.
        halves = (one[:, None] + other) / 2 - products
        halves[lost] = 0
        sums[self.at] -= halves

    def finish(self, sums: NDArray[np.float64]) -> None:
        """Make squares of the tile in ``sums``."""
        whole = sums[self.at]
        whole *= -2
        whole += self._lengths[0][:, None]
        whole += self._lengths[1]


class _Block:
    """One block of columns, and the pairs that lost their digits in it."""

    def __init__(self, x: Floats) -> None:
        self._x = x
        self._lengths = squared_lengths(x)
        self._lock = Lock()
        # (n, n), above the diagonal, once there are any: most blocks have none.
        self.doubtful: NDArray[np.bool_] | None = None

    def whole(self) -> Floats | None:
        """All squares (n, n) in the block's own type; None where that would cost some of them."""
        if self._x.shape[1] <= _FEW:
            return None
        every = slice(None)
        squares = self._products(self._x, self._x, True)
        share = tolerance(squares.dtype) if squares.dtype == np.float64 else _NEAR
        if self._near(share, squares, every, every) is not None:
            return None
        lengths = self._lengths.astype(squares.dtype)
        for rows in cut(len(squares), -(-len(squares) // _STRIP)):
            some = squares[rows]
            some *= -2
            # Added to each other first: the squares are symmetric to the last bit then.
            some += lengths[rows, None] + lengths
        np.fill_diagonal(squares, 0)
        return squares

    def add_to(self, sums: NDArray[np.float64], tile: _Tile) -> None:
        """Add the squares of one tile; those that lost their digits count as 0 and are marked."""
        rows, columns = tile.at
        if self._x.shape[1] <= _FEW:
            sums[tile.at] -= self._by_column(rows, columns) / 2
            return
        if self._x.dtype == np.float64 or tile.share > _MOST:
            self._add_exact(sums, tile)
            return
        products = self._products(self._x[rows], self._x[columns], rows is columns)
        products[np.ix_(*tile.places())] = -np.inf
        found = self._near(_NEAR, products, rows, columns)
        if found is not None:
            tile.remember(found)
        if tile.share > _MOST:
            self._add_exact(sums, tile)
            return
        some, others = tile.places()
        if not len(some):
            tile.add(sums, products, self._lengths)
            return
        pairs = np.ix_(some, others)
        near_rows = some + rows.start
        near_columns = near_rows if rows is columns else others + columns.start
        mended: Floats = products.astype(np.float64)
        mended[pairs], lost = self._exact(near_rows, near_columns)
        if lost is not None:
            inside = lost
            lost = np.zeros(mended.shape, dtype=bool)
            lost[pairs] = inside
        tile.add(sums, mended, self._lengths, lost)

    def _add_exact(self, sums: NDArray[np.float64], tile: _Tile) -> None:
        products, lost = self._exact(*tile.at)
        tile.add(sums, products, self._lengths, lost)

    def _exact(self, rows: Part, columns: Part) -> tuple[Floats, NDArray[np.bool_] | None]:
        """Products in float64, between any clients, and which pairs are lost, if any.

        One object for rows and columns is one group.
        """
        some = self._x[rows].astype(np.float64, copy=False)
        # Of one and the same array the product is made by half.
        others = some if rows is columns else self._x[columns].astype(np.float64, copy=False)
        products = self._products(some, others, rows is columns)
        lost = self._near(tolerance(products.dtype), products, rows, columns)
        if lost is not None:
            self._mark(rows, columns, lost)
        return products, lost

    @staticmethod
    def _products(some: Floats, others: Floats, same: bool) -> Floats:
        """Between these rows, in their type; minus infinity, as the furthest, with itself."""
        products: Floats = some @ others.T
        if same:
            np.fill_diagonal(products, -np.inf)
        return products

    def _near(
        self, share: float, products: Floats, rows: Part, columns: Part
    ) -> NDArray[np.bool_] | None:
        """Of which pairs the squares are below this share of their lengths; None for none."""
        half = (1 - share) / 2
        one, other = half * self._lengths[rows], half * self._lengths[columns]
        # Quick where no pair is near even if the other client is the shortest.
        if (products.max(axis=1) <= one + other.min()).all():
            return None
        limits = one.astype(products.dtype)[:, None]
        found: NDArray[np.bool_] = products > limits + other.astype(products.dtype)
        return found if found.any() else None

    def _by_column(self, rows: slice, columns: slice) -> Floats:
        """With few columns many pairs are close by chance; their differences are quicker then."""
        one, other = self._x[rows], self._x[columns]
        squares: Floats = np.zeros((len(one), len(other)), self._x.dtype)
        for place in range(self._x.shape[1]):
            difference = one[:, place, None] - other[:, place]
            difference *= difference
            squares += difference
        return squares

    def _mark(self, rows: Part, columns: Part, lost: NDArray[np.bool_]) -> None:
        with self._lock:
            if self.doubtful is None:
                self.doubtful = np.zeros((len(self._x), len(self._x)), dtype=bool)
            if isinstance(rows, slice) or isinstance(columns, slice):
                self.doubtful[rows, columns] = lost
            else:
                self.doubtful[np.ix_(rows, columns)] = lost


def single(x: Floats, magnitude: Floats | None = None) -> Floats:
    """Squared distances (n, n) over the columns of ``x`` (n, d) alone, in its type where that does.

    Sooner than :func:`squared_distances`, which it leaves those to that need more digits than the
    type has, for numbers that nothing is added to. The diagonal is exactly 0.
    """
    found = None
    if x.shape[1] < 2 * COLUMNS:
        found = _Block(centred(x, is_ordinary(x, magnitude))).whole()
    return squared_distances(x, magnitude) if found is None else found


def squared_distances(x: Floats, magnitude: Floats | None = None) -> NDArray[np.float64]:
    """Return the (n, n) squared distances between the rows of ``x`` (n, d), in float64.

    ``magnitude`` is as for :meth:`SquareSum.add`. The diagonal is exactly 0.
    """
    total = SquareSum(len(x))
    total.add(x, magnitude)
    return total.finish()


def centred(x: Floats, ordinary: NDArray[np.bool_]) -> Floats:
    """A copy of ``x`` (n, d) less the mean of its ``ordinary`` rows."""
    centre = x[ordinary].mean(axis=0, dtype=np.float64) if not ordinary.all() else x.mean(axis=0)
    moved: Floats = x - centre.astype(x.dtype)
    return moved


def is_ordinary(x: Floats, magnitude: Floats | None = None) -> NDArray[np.bool_]:
    """The rows of ``x`` (n, d), of these largest absolute values, that are none of a few giants."""
    if magnitude is None:
        magnitude = largest(x)
    ordinary: NDArray[np.bool_] = magnitude <= 10 * np.median(magnitude)
    return ordinary


def mirror(matrix: NDArray[Any], tiles: list[tuple[slice, slice]]) -> None:
    """Copy the tiles above the diagonal, and the upper half of those on it, to below it."""
    for rows, columns in tiles:
        if rows == columns:
            # Both halves hold the same, but for the last bit of a product.
            below = np.tri(rows.stop - rows.start, k=-1, dtype=bool)
            np.copyto(matrix[rows, columns], matrix[rows, columns].T.copy(), where=below)
        else:
            matrix[columns, rows] = matrix[rows, columns].T


def tiles(count: int) -> list[tuple[slice, slice]]:
    """Tiles on and above the diagonal, of nearly equal sizes; on it, both slices are one object."""
    parts = cut(count, -(-count // TILE))
    return [(rows, columns) for place, rows in enumerate(parts) for columns in parts[place:]]


def cut(count: int, number: int) -> list[slice]:
    """So many slices (at least one) of nearly equal sizes: a small last one costs as a full one."""
    number = max(1, number)
    edges = [count * part // number for part in range(number + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def matrix_bytes(count: int) -> int:
    """The size of the squared distances between so many clients."""
    return count * count * 8


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
