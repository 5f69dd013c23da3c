"""Coordinate-wise medians of many clients, a few parameters at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.scoring.selection import row_medians

Floats = NDArray[np.floating[Any]]
Vector = NDArray[np.float64]
_COLUMNS = 256


@dataclass(frozen=True)
class Course:
    """Where n updates point: ``inner`` (n,) products with their coordinate-wise median, ``lengths``
    (n,), the ``median_length``, and the shares (n,) of exact ``zeros`` and of ``positives``.
    ``quiet`` is the share of parameters at which most clients hold the very same number, and
    ``stirred`` (n,) how much of these each client moves off it.
    """

    inner: NDArray[np.float64]
    lengths: NDArray[np.float64]
    median_length: float
    zeros: NDArray[np.float64]
    positives: NDArray[np.float64]
    quiet: float
    stirred: NDArray[np.float64]

    def rows(self, rows: NDArray[np.intp]) -> Course:
        """The same clients in another order."""
        inner, lengths, stirred = self.inner[rows], self.lengths[rows], self.stirred[rows]
        zeros, positives = self.zeros[rows], self.positives[rows]
        return Course(inner, lengths, self.median_length, zeros, positives, self.quiet, stirred)


class CourseSum:
    """Adds up what a :class:`Course` is made of, over blocks of columns in any order.

    Sums of some columns and of others add up (``+``) to those of all.
    """

    def __init__(self, count: int) -> None:
        # Rows: products with the median, squares, zeros, positives, moves off what most hold.
        self._sums = np.zeros((5, count))
        # The median's square, the columns, and those at which most hold the very same number.
        self._square, self._size, self._quiet = 0.0, 0, 0

    def add(self, block: Floats, jobs: int = 1) -> None:
        """The columns of a finite ``block`` (n, d)."""
        inner, squares, zeros, positives, stirred = self._sums
        self._size += block.shape[1]
        zeros += (block == 0).sum(axis=1)
        positives += (block > 0).sum(axis=1)
        for middle, part in medians(block, jobs):
            wide = part.astype(np.float64, copy=False)
            inner += wide @ middle
            squares += np.einsum("ij,ij->i", wide, wide)
            self._square += float(middle @ middle)
            off = part != middle
            still = 2 * off.sum(axis=0) < len(off)
            self._quiet += int(still.sum())
            stirred += off[:, still].sum(axis=1)

    def __add__(self, other: CourseSum) -> CourseSum:
        both = CourseSum(self._sums.shape[1])
        both._sums = self._sums + other._sums
        both._square, both._size = self._square + other._square, self._size + other._size
        both._quiet = self._quiet + other._quiet
        return both

    def finish(self) -> Course:
        inner, squares, zeros, positives, stirred = self._sums
        return Course(
            inner,
            np.sqrt(squares),
            math.sqrt(self._square),
            zeros / self._size,
            positives / self._size,
            self._quiet / self._size,
            stirred / max(self._quiet, 1),
        )


def column_medians(block: Floats) -> Vector:
    """The median of every column of a finite ``block`` (n, c), shape (c,).

    On contiguous columns, several times as quick as NumPy's along the first axis.
    """
    return row_medians(np.array(block.T, order="C"))


def medians(block: Floats, jobs: int = 1) -> Iterator[tuple[Vector, Floats]]:
    """Some columns of ``block`` (n, d) at a time, in order, after their medians."""
    parts = [block[:, at : at + _COLUMNS] for at in range(0, block.shape[1], _COLUMNS)]
    if jobs == 1 or len(parts) == 1:
        for part in parts:
            yield column_medians(part), part
        return
    with ThreadPoolExecutor(jobs) as pool:
        yield from zip(pool.map(column_medians, parts), parts, strict=True)
