"""Distances that are made while a round is read, so that a file beyond memory is read once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.stretches import Piece, Stretch, width
from lomar_cli.files.updates import OutputLayer
from lomar_cli.scoring.distances import Adder, MakeAdder, SquareSum, matrix_bytes
from lomar_cli.scoring.middle import Course, CourseSum
from lomar_cli.threads import one_blas_thread

Floats = NDArray[np.floating[Any]]
# A label's share of a stretch is multiplied by itself when it has this many columns on average;
# with fewer, adding up the (n, n) matrices would cost more than reading the layer again.
_NARROW = 64


def overflow(dtype: np.dtype[Any]) -> float:
    """Beyond this, a squared value takes the digits of every other."""
    return float(np.sqrt(np.finfo(dtype).max)) / 1e6


class Known(NamedTuple):
    """What is there of some clients: ``squares`` (n, n) over whole updates, ``blocks`` over each
    label's, {} where they were not kept, and the ``course``, None where it was not made.
    """

    squares: Floats
    blocks: dict[int, Floats]
    course: Course | None


class Gathered:
    """Squared distances (n, n) over whole updates and, where they fit, over each label's block.

    With ``course`` also where the updates point. Fed with every stretch of a round once.
    ``shapes`` and ``dtype`` are of all its parameters; ``names`` those to look at (None: all). Rows
    that hold NaN, infinity or what would overflow count as zeros and are named in ``zeroed``: they
    are no distances to rely on.
    """

    def __init__(
        self,
        clients: int,
        shapes: Mapping[str, tuple[int, ...]],
        dtype: np.dtype[Any],
        output: OutputLayer | None,
        memory: int,
        jobs: int = 1,
        names: Sequence[str] | None = None,
        adder: MakeAdder = SquareSum,
        course: bool = False,
    ) -> None:
        self._shapes = shapes
        self._names = set(shapes if names is None else names)
        self._output = output
        self._clients, self._dtype, self._jobs = clients, dtype, jobs
        self._course = CourseSum(clients) if course else None
        self._total = adder(clients, jobs)
        self._labels: dict[int, Adder] = {}
        self._limit = overflow(dtype)
        self.zeroed = np.zeros(clients, dtype=bool)
        if output is not None and self._worthwhile(output, memory):
            labels = shapes[output.weight][output.label_axis]
            self._labels = {label: adder(clients, jobs) for label in range(labels)}

    def feed(self, stretch: Stretch) -> None:
        with one_blas_thread():
            self._feed(stretch)

    def _feed(self, stretch: Stretch) -> None:
        columns = [p for p in stretch.pieces if p.name in self._names]
        if not columns:
            return
        block = stretch.block.astype(self._dtype, copy=False)
        if len(columns) < len(stretch.pieces):
            block = np.concatenate([block[:, piece.columns] for piece in columns], axis=1)
            columns = _beside(columns)
        magnitude = stretch.magnitude()
        hostile = ~(magnitude <= self._limit)
        if hostile.any():
            self.zeroed |= hostile
            block[hostile] = 0
            magnitude = np.where(hostile, 0, magnitude)
            # Medians of all clients are none of the others'.
            self._course = None
        self._total.add(block, magnitude)
        if self._course is not None:
            self._course.add(block, self._jobs)
        if not self._labels:
            return
        for piece in columns:
            if self._owned(piece.name):
                for label, part in self._parts(piece, block):
                    self._labels[label].add(part)

    def of(self, rows: NDArray[np.intp]) -> Known | None:
        """What is known of some rows; the course of all rows only.

        None when the numbers of one of these rows counted as zeros.
        """
        if self.zeroed[rows].any():
            return None
        total: Floats = self._total.finish()
        blocks: dict[int, Floats] = {k: adder.finish() for k, adder in self._labels.items()}
        if len(rows) == self._clients:
            return Known(total, blocks, self._course.finish() if self._course else None)
        pairs = np.ix_(rows, rows)
        some = {label: squares[pairs] for label, squares in blocks.items()}
        return Known(total[pairs], some, None)

    def _owned(self, name: str) -> bool:
        return self._output is not None and name in (self._output.weight, self._output.bias)

    def _parts(self, piece: Piece, block: Floats) -> list[tuple[int, Floats]]:
        """Every label that owns columns of a piece of the output layer, and these columns."""
        assert self._output is not None
        axis = self._output.label_axis if piece.name == self._output.weight else 0
        shape = self._shapes[piece.name]
        inner = math.prod(shape[axis + 1 :])
        size = piece.columns.stop - piece.columns.start
        owners = (piece.start + np.arange(size)) // inner % shape[axis]
        part = block[:, piece.columns]
        parts = []
        for label in np.unique(owners):
            at = np.flatnonzero(owners == label)
            run = at[-1] - at[0] + 1 == len(at)
            parts.append((int(label), part[:, at[0] : at[-1] + 1] if run else part[:, at]))
        return parts

    def _worthwhile(self, output: OutputLayer, memory: int) -> bool:
        shape = self._shapes[output.weight]
        labels = shape[output.label_axis]
        if labels * matrix_bytes(self._clients) > memory // 2:
            return False
        columns = max(1, width(memory) // (self._clients * self._dtype.itemsize))
        passes = math.ceil(math.prod(shape) / columns)
        run = math.prod(shape[output.label_axis + 1 :])
        return passes <= 4 or max(run, columns // labels) >= _NARROW


def _beside(pieces: Sequence[Piece]) -> list[Piece]:
    """The same pieces with their columns side by side from 0."""
    moved, used = [], 0
    for piece in pieces:
        size = piece.columns.stop - piece.columns.start
        moved.append(Piece(piece.name, piece.start, slice(used, used + size)))
        used += size
    return moved
