"""Distances between the clients of a round, computed once and shared by every method."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.updates import Updates
from lomar_cli.scoring.components import centred_gram, coordinates
from lomar_cli.scoring.distances import squared_distances
from lomar_cli.threads import one_blas_thread

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
T = TypeVar("T")
PRINCIPAL = 10


class Neighbourhoods:
    """Who is whose neighbour, and quick access to numbers of all (client, neighbour) pairs.

    ``mask`` (n, n) has at least one True in every row. ``counts`` (n,) are the sizes of the
    neighbourhoods, ``starts`` (n,) where each one's pairs begin among all pairs in row order.
    """

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self.counts = mask.sum(axis=1)
        self.starts = np.concatenate([[0], np.cumsum(self.counts)[:-1]])
        self._index = np.flatnonzero(mask)

    def pick(self, matrix: Floats) -> Floats:
        """The entries of an (n, n) matrix that belong to pairs, shape (pairs,)."""
        return np.take(matrix, self._index)


class Geometry:
    """Distances of one round's updates, by label block and over the whole update.

    ``memory`` (bytes) bounds what is kept: block distances that do not fit are computed again
    when asked for. ``jobs`` threads share the label blocks; the numbers do not depend on it, as
    each product runs on one thread.
    """

    def __init__(self, updates: Updates, memory: int = 2**31, jobs: int = 1) -> None:
        self.updates = updates
        self.memory = memory
        self.jobs = max(1, jobs)
        self.count = len(updates.clients)
        self.dtype = updates.dtype
        self._blocks: dict[int, Floats] = {}
        wanted = updates.label_count * self.count**2 * self.dtype.itemsize
        self._keep_blocks = wanted <= memory // 2

    def part(self, rows: NDArray[np.intp]) -> Geometry:
        """The geometry of some of the clients, which asks this one for distances and products."""
        return _Part(self, rows)

    def map(self, function: Callable[[int], T], items: Iterable[int]) -> list[T]:
        """Apply ``function`` to every item, in order, on ``jobs`` threads with BLAS on one each."""
        with one_blas_thread():
            if self.jobs == 1:
                return [function(item) for item in items]
            with ThreadPoolExecutor(self.jobs) as pool:
                return list(pool.map(function, items))

    def block_squares(self, label: int) -> Floats:
        """Squared distances (n, n) over the parameters of one label."""
        kept = self._blocks.get(label)
        if kept is None:
            block = self.updates.label_block(label).astype(self.dtype, copy=False)
            kept = squared_distances(block)
            if self._keep_blocks:
                self._blocks[label] = kept
        return kept

    @cached_property
    def squares(self) -> Floats:
        """Squared distances (n, n) over the whole update: the sum over blocks."""
        total = np.zeros((self.count, self.count), self.dtype)
        labels = range(self.updates.label_count)
        # In batches, so that no more blocks than threads are alive when they may not be kept.
        for start in range(0, len(labels), self.jobs):
            for squares in self.map(self.block_squares, labels[start : start + self.jobs]):
                total += squares
        if self.updates.output is not None:
            width = max(2**20, self.memory // 8)
            with one_blas_thread():
                for block in self.updates.shared_blocks(width):
                    total += squared_distances(block.astype(self.dtype, copy=False))
        return total

    @cached_property
    def distances(self) -> Floats:
        """Distances (n, n) over the whole update."""
        return np.sqrt(self.squares)

    @cached_property
    def principal(self) -> NDArray[np.float64]:
        """Coordinates (n, 10) of the updates on their first ten principal components."""
        return coordinates(centred_gram(self.squares), PRINCIPAL)

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        """Inner products (n, n) of the updates themselves (not centred)."""
        total = np.zeros((self.count, self.count))
        everything = dataclasses.replace(self.updates, output=None)
        with one_blas_thread():
            for block in everything.shared_blocks(max(2**20, self.memory // 8)):
                wide = block.astype(self.dtype, copy=False)
                total += wide @ wide.T
        return total

    @cached_property
    def norms(self) -> NDArray[np.float64]:
        """Euclidean lengths (n,) of the updates."""
        lengths: NDArray[np.float64] = np.sqrt(np.maximum(self.gram.diagonal(), 0))
        return lengths

    @cached_property
    def cosines(self) -> NDArray[np.float64]:
        """Cosine similarities (n, n) in [-1, 1]; 0 with an update of length 0."""
        lengths = np.where(self.norms > 0, self.norms, 1)
        found: NDArray[np.float64] = np.clip(self.gram / lengths[:, None] / lengths, -1, 1)
        return found

    def neighbours(self, k: int) -> Neighbourhoods:
        """The k nearest other updates of every client over the whole update.

        Updates as far as the k-th, within rounding, are neighbours too (as in LOF), so that the
        order of the clients in the file never decides. ``k`` lies in [1, n - 1].
        """
        squares = self.squares.copy()
        np.fill_diagonal(squares, np.inf)
        furthest = np.partition(squares, k - 1, axis=1)[:, k - 1]
        slack = 1 + 32 * float(np.finfo(self.dtype).eps)
        mask: Mask = squares <= (furthest * self.dtype.type(slack))[:, None]
        np.fill_diagonal(mask, False)
        return Neighbourhoods(mask)


class _Part(Geometry):
    """Some clients of a geometry: entries of what was, or will be, computed for all."""

    def __init__(self, whole: Geometry, rows: NDArray[np.intp]) -> None:
        super().__init__(whole.updates.rows(rows), whole.memory, whole.jobs)
        self._whole, self._pairs = whole, np.ix_(rows, rows)

    @cached_property
    def squares(self) -> Floats:
        return self._whole.squares[self._pairs]

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        return self._whole.gram[self._pairs]
