"""Distances between the clients of a round, computed once and shared by every method."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.stretches import Stretch, ahead, stretches, width
from lomar_cli.files.updates import Tensor, Updates
from lomar_cli.scoring.components import centred_gram, coordinates
from lomar_cli.scoring.distances import MakeAdder, SquareSum, matrix_bytes, mirror, single, tiles
from lomar_cli.scoring.gather import Known
from lomar_cli.scoring.lengths import squared_lengths
from lomar_cli.scoring.middle import Course, CourseSum
from lomar_cli.scoring.nearest import (
    Neighbourhoods,
    Profile,
    kth_distances,
    neighbourhoods,
    profile,
)
from lomar_cli.threads import one_blas_thread

Floats = NDArray[np.floating[Any]]
T = TypeVar("T")
Item = TypeVar("Item")
PRINCIPAL = 10


class Geometry:
    """Distances of one round's updates, by label block and over the whole update.

    ``memory`` (bytes) bounds what is kept: block distances that do not fit are computed again
    when asked for. ``jobs`` threads share the label blocks; the numbers do not depend on it, as
    each product runs on one thread. ``adder`` makes what adds up squared distances, on the
    processor or elsewhere; ``known`` is what is there already of them. Those of the whole update
    are never the sum of the labels': their last digits must not depend on which methods ask.
    """

    def __init__(
        self,
        updates: Updates,
        memory: int = 2**31,
        jobs: int = 1,
        adder: MakeAdder = SquareSum,
        known: Known | None = None,
    ) -> None:
        # Buffers take no part in any distance.
        self.updates = updates = updates.scored()
        self.memory = memory
        self.jobs = max(1, jobs)
        self.adder = adder
        self.count = len(updates.clients)
        self.dtype = updates.dtype
        self._profiles: dict[int, Profile] = {}
        wanted = updates.label_count * matrix_bytes(self.count)
        self._keep_blocks = wanted <= memory // 2
        if known is not None:
            # Cached properties that have their values already.
            self.__dict__["squares"], self.__dict__["_blocks"] = known.squares, known.blocks
            if known.course is not None:
                self.__dict__["course"] = known.course

    @cached_property
    def _blocks(self) -> dict[int, Floats]:
        """Squared distances by label, as far as they are kept."""
        return {}

    def part(self, rows: NDArray[np.intp]) -> Geometry:
        """The geometry of some of the clients, which asks this one for distances and products."""
        return Part(self, rows)

    def map(self, function: Callable[[Item], T], items: Iterable[Item]) -> list[T]:
        """Apply ``function`` to every item, in order, on ``jobs`` threads with BLAS on one each."""
        with one_blas_thread():
            if self.jobs == 1:
                return [function(item) for item in items]
            with ThreadPoolExecutor(self.jobs) as pool:
                return list(pool.map(function, items))

    def block_squares(self, label: int) -> Floats:
        """Squared distances (n, n) over the parameters of one label."""
        if self.updates.output is None:
            return self.squares
        kept = self._blocks.get(label)
        if kept is None:
            if self.updates.streamed:
                kept = self._summed(self.updates.label_tensors(label))
            else:
                kept = self.squares_of(self.updates, label)
            self.keep(label, kept)
        return kept

    def each_block(self, function: Callable[[int, Floats], T]) -> list[T]:
        """``function(label, its squared distances)`` for every label, in order.

        Labels that were not kept and lie in a file are read together, as many as fit.
        """
        labels = range(self.updates.label_count)
        if not self.updates.streamed or self.updates.output is None or len(self._blocks) > 0:
            return self.map(lambda label: function(label, self.block_squares(label)), labels)
        owned = self.updates.label_tensors(0).values()
        one = sum(t.dtype.itemsize * math.prod(t.shape) for t in owned)
        group = self.memory // 8 // one
        if group == 0:
            return [function(label, self.block_squares(label)) for label in labels]
        found: list[T] = []
        for start in range(0, len(labels), group):
            few = labels[start : start + group]
            found += self.map(_Few(self, self.updates.only_labels(few), start, function), few)
        return found

    def keep(self, label: int, squares: Floats) -> None:
        """Remember a label's squared distances if all labels' fit."""
        if self._keep_blocks:
            self._blocks[label] = squares

    @cached_property
    def squares(self) -> Floats:
        """Squared distances (n, n) over the whole update."""
        return self._summed(self.updates.tensors)

    def squares_of(self, updates: Updates, label: int) -> Floats:
        """Squared distances by a label of other updates of the same clients, on one thread."""
        block = updates.label_block(label).astype(self.dtype, copy=False)
        if self.adder is SquareSum:
            return single(block)
        adder = self.adder(self.count, 1)
        adder.add(block)
        return adder.finish()

    def _summed(self, tensors: Mapping[str, Tensor]) -> Floats:
        """Squared distances over some tensors, read in stretches."""
        adder = self.adder(self.count, self.jobs)
        with one_blas_thread():
            for stretch in self._stretches(tensors):
                adder.add(stretch.block.astype(self.dtype, copy=False), stretch.magnitude())
        return adder.finish()

    def _stretches(self, tensors: Mapping[str, Tensor]) -> Iterator[Stretch]:
        if not tensors:
            return iter(())
        read = stretches(tensors, width(self.memory))
        return ahead(read) if self.updates.streamed else read

    @cached_property
    def distances(self) -> Floats:
        """Distances (n, n) over the whole update."""
        return np.sqrt(self.squares)

    @cached_property
    def leading(self) -> NDArray[np.float64]:
        """Coordinates (n,) on the first principal component: quicker found than ten of them."""
        return coordinates(centred_gram(self.squares), 1)[:, 0]

    @cached_property
    def principal(self) -> NDArray[np.float64]:
        """Coordinates (n, 10) of the updates on their first ten principal components."""
        return coordinates(centred_gram(self.squares), PRINCIPAL)

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        """Inner products (n, n) of the updates themselves (not centred)."""
        total = np.zeros((self.count, self.count))
        parts = tiles(self.count)
        for stretch in self._stretches(self.updates.tensors):
            wide = stretch.block.astype(self.dtype, copy=False)
            self.map(partial(_add_products, total, wide), parts)
        mirror(total, parts)
        return total

    @cached_property
    def norms(self) -> NDArray[np.float64]:
        """Euclidean lengths (n,) of the updates."""
        squares = np.zeros(self.count)
        for stretch in self._stretches(self.updates.tensors):
            squares += squared_lengths(stretch.block)
        return np.sqrt(squares)

    @cached_property
    def cosines(self) -> NDArray[np.float64]:
        """Cosine similarities (n, n) in [-1, 1]; 0 with an update of length 0."""
        lengths = np.sqrt(self.gram.diagonal())
        lengths[lengths == 0] = 1
        found: NDArray[np.float64] = self.gram / lengths
        found /= lengths[:, None]
        return np.clip(found, -1, 1, out=found)

    def neighbours(self, k: int) -> Neighbourhoods:
        """The k nearest other updates of every client over the whole update.

        Updates as far as the k-th, within rounding, are neighbours too (as in LOF), so that the
        order of the clients in the file never decides. ``k`` lies in [1, n - 1].
        """
        return neighbourhoods(self.squares, k, self.dtype, self.jobs)

    def profile(self, k: int) -> Profile:
        """Distances to the second and k-th nearest other client, and the mean over the k nearest.

        ``k`` lies in [1, n - 1]. No copy of the distances is made.
        """
        if k not in self._profiles:
            self._profiles[k] = profile(self.squares, k, self.jobs)
        return self._profiles[k]

    def kth_distances(self, ks: Sequence[int]) -> NDArray[np.float64]:
        """Distances (n, len(ks)) to the k-th nearest other client, for several k at once."""
        return kth_distances(self.squares, ks, self.jobs)

    @cached_property
    def course(self) -> Course:
        """Where the updates point, by one reading of them; the median itself is not kept."""
        course = CourseSum(self.count)
        for stretch in self._stretches(self.updates.tensors):
            course.add(stretch.block, self.jobs)
        return course.finish()


def _add_products(total: Floats, block: Floats, tile: tuple[slice, slice]) -> None:
    """Add the inner products of the rows of ``block`` (n, d) that meet in a tile of (n, n)."""
    rows, columns = tile
    some = block[rows]
    # Of one and the same array the product is made by half.
    total[tile] += some @ (some if rows is columns else block[columns]).T


class _Few(Generic[T]):
    """Some labels that were read together, from ``start`` on, handed on one by one."""

    def __init__(
        self, whole: Geometry, read: Updates, start: int, function: Callable[[int, Floats], T]
    ) -> None:
        self._whole, self._read, self._start, self._function = whole, read, start, function

    def __call__(self, label: int) -> T:
        squares = self._whole.squares_of(self._read, label - self._start)
        self._whole.keep(label, squares)
        return self._function(label, squares)


class Part(Geometry):
    """Some clients of a geometry: entries of what was, or will be, computed for all."""

    def __init__(self, whole: Geometry, rows: NDArray[np.intp]) -> None:
        super().__init__(whole.updates.rows(rows), whole.memory, whole.jobs, whole.adder)
        self._whole, self._rows, self._pairs = whole, rows, np.ix_(rows, rows)

    @cached_property
    def _blocks(self) -> dict[int, Floats]:
        # Copied first: other methods' threads may be adding to them.
        kept = dict(self._whole._blocks)
        return {label: squares[self._pairs] for label, squares in kept.items()}

    @cached_property
    def squares(self) -> Floats:
        return self._whole.squares[self._pairs]

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        return self._whole.gram[self._pairs]

    @cached_property
    def norms(self) -> NDArray[np.float64]:
        return self._whole.norms[self._rows]
