"""Where many clients' updates point: by coordinate-wise medians, a few parameters at a time."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Vector = NDArray[np.float64]
# So many numbers at a time stay near the processor.
_CELLS, _FEWEST = 2**18, 16
# What a byte counts.
_BYTE = 255
# From such a share of zeros on it pays to look which medians are zero.
_MANY = 0.1


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
        self._count, self._size = count, 0
        self._of = _Columns(np.zeros((5, count)), 0.0, 0)

    def add(self, block: Floats, jobs: int = 1) -> None:
        """The columns of a finite ``block`` (n, d), on so many threads."""
        size = block.shape[1]
        step = max(_CELLS // self._count, _FEWEST)
        parts = [block[:, at : at + step] for at in range(0, size, step)]
        self._size += size
        if jobs == 1 or len(parts) == 1:
            for part in parts:
                self._of += _columns(part)
            return
        with ThreadPoolExecutor(jobs) as pool:
            # In the order of the columns, so that digits do not depend on the threads.
            for made in pool.map(_columns, parts):
                self._of += made

    def __add__(self, other: CourseSum) -> CourseSum:
        both = CourseSum(self._count)
        both._size, both._of = self._size + other._size, self._of + other._of
        return both

    def finish(self) -> Course:
        inner, squares, zeros, positives, stirred = self._of.sums
        quiet = self._of.quiet
        return Course(
            inner,
            np.sqrt(squares),
            math.sqrt(self._of.square),
            zeros / self._size,
            positives / self._size,
            quiet / self._size,
            stirred / max(quiet, 1),
        )


@dataclass(frozen=True)
class _Columns:
    """Of some columns: ``sums`` (5, n) of products with the median, squares, zeros, positives and
    moves off what most hold; the median's ``square``; at how many most hold the very same number.
    """

    sums: NDArray[np.float64]
    square: float
    quiet: int

    def __add__(self, other: _Columns) -> _Columns:
        return _Columns(
            self.sums + other.sums, self.square + other.square, self.quiet + other.quiet
        )


def _columns(part: Floats) -> _Columns:
    """What the columns of ``part`` (n, c) add."""
    # A column's numbers side by side, to be put in order and counted by whole rows; copied first,
    # which reads the block in order.
    rows = np.array(np.ascontiguousarray(part).T, order="C")
    wide = rows.astype(np.float64)
    nought = rows == 0
    zeros, positives = _counted(nought), _counted(rows > 0)
    middle, tied = medians(rows, nought)
    some = np.flatnonzero(tied)
    off = wide[some] != middle[some, None]
    still = 2 * np.count_nonzero(off, axis=1) < off.shape[1]
    stirred = _counted(off[still])
    squares = np.einsum("ij,ij->j", wide, wide)
    sums = np.stack([middle @ wide, squares, zeros, positives, stirred])
    return _Columns(sums, float(middle @ middle), int(np.count_nonzero(still)))


def _counted(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many rows are true, by column: NumPy adds bytes many at a time."""
    found = np.zeros(mask.shape[1], np.int64)
    for start in range(0, len(mask), _BYTE):
        some = mask[start : start + _BYTE].view(np.uint8)
        found += np.add.reduce(some, axis=0, dtype=np.uint8)
    return found


def medians(rows: Floats, nought: NDArray[np.bool_]) -> tuple[Vector, NDArray[np.bool_]]:
    """The medians (c,) of finite ``rows`` (c, n), left in another order, and of which rows more
    than half may be the very same number: all where they are, few others.

    ``nought`` (c, n) tells which of them are 0.
    """
    count = rows.shape[1]
    half = count // 2
    if np.count_nonzero(nought) > _MANY * rows.size:
        # NumPy takes several times as long to order many equal numbers.
        below, equal = np.count_nonzero(rows < 0, axis=1), np.count_nonzero(nought, axis=1)
        left = (below > (count - 1) // 2) | (below + equal <= half)
        middle, tied = np.zeros(len(rows)), 2 * equal > count
        middle[left], tied[left] = _ordered(rows[left])
        return middle, tied
    return _ordered(rows)


def _ordered(rows: Floats) -> tuple[Vector, NDArray[np.bool_]]:
    """What ``medians`` says, by putting them in order."""
    count = rows.shape[1]
    half = count // 2
    if count < 3:
        return rows.mean(axis=1, dtype=np.float64), np.ones(len(rows), bool)
    rows.partition(half, axis=1)
    upper = rows[:, half].astype(np.float64)
    # A run of more than half reaches from the middle to the place before it, or to the one after.
    before = rows[:, :half].max(axis=1).astype(np.float64)
    if count % 2 == 0:
        return (before + upper) / 2, before == upper
    after = rows[:, half + 1 :].min(axis=1)
    return upper, (before == upper) | (after == upper)
