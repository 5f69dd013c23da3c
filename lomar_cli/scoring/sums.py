"""What is added up over parameters, so that many workers can each take some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.stretches import Stretch, largest
from lomar_cli.scoring.distances import COLUMNS, MakeAdder, SquareSum, cut
from lomar_cli.scoring.middle import CourseSum

Floats = NDArray[np.floating[Any]]
# Stretches are read as wide as memory allows, as long runs are read faster; what is computed of
# them should stay in the processor's caches, yet be worth a pass over the n x n sums (measured).
_BYTES, _COLUMNS = 2**23, 1024


@dataclass(frozen=True)
class Wanted:
    """Which sums: squared distances (``squares``), where updates point (``course``), or both."""

    squares: bool = True
    course: bool = False


@dataclass(frozen=True)
class Sums:
    """Sums over some parameters: ``pairs`` and ``course``, None where not wanted.

    ``pairs`` (n (n - 1) / 2,) are the squared distances above the diagonal, row by row: half of the
    matrix, as sums are moved between machines.
    """

    pairs: NDArray[np.float64] | None = None
    course: CourseSum | None = None

    @property
    def squares(self) -> NDArray[np.float64]:
        """The squared distances (n, n), which must be among what was wanted."""
        from scipy.spatial.distance import squareform

        assert self.pairs is not None
        found: NDArray[np.float64] = squareform(self.pairs)
        return found

    def __sizeof__(self) -> int:
        """Whoever moves or spills results must know how large they are."""
        return object.__sizeof__(self) + (0 if self.pairs is None else self.pairs.nbytes)

    def __add__(self, other: Sums) -> Sums:
        pairs, course = self.pairs, self.course
        if pairs is not None and other.pairs is not None:
            pairs = pairs + other.pairs
        if course is not None and other.course is not None:
            course = course + other.course
        return Sums(pairs, course)


def add(one: Sums, other: Sums) -> Sums:
    """Both, as a function by name; neither is changed."""
    return one + other


class Summing:
    """Makes the sums of ``count`` clients, ``rows`` of those that stretches hold, as these come."""

    def __init__(
        self,
        wanted: Wanted,
        rows: NDArray[np.intp],
        dtype: np.dtype[Any],
        adder: MakeAdder = SquareSum,
    ) -> None:
        self._rows, self._dtype = rows, dtype
        self._squares = adder(len(rows), 1) if wanted.squares else None
        self._course = CourseSum(len(rows)) if wanted.course else None

    def feed(self, stretch: Stretch) -> None:
        row = stretch.block.itemsize * max(1, len(self._rows))
        step = min(COLUMNS, max(_COLUMNS, _BYTES // row))
        for part in cut(stretch.block.shape[1], round(stretch.block.shape[1] / step)):
            self._feed(stretch.block[:, part])

    def _feed(self, block: Floats) -> None:
        if len(self._rows) < len(block):
            block = block[self._rows]
        if self._course is not None:
            self._course.add(block)
        if self._squares is not None:
            wide = block.astype(self._dtype, copy=False)
            self._squares.add(wide, largest(block).astype(np.float64))

    def finish(self) -> Sums:
        if self._squares is None:
            return Sums(None, self._course)
        from scipy.spatial.distance import squareform

        return Sums(squareform(self._squares.finish(), checks=False), self._course)
