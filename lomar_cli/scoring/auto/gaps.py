"""What is missing from the output layer's rows, as after sparsification, masks or coarse rounding.

A sample moves the rows of all labels at the same columns, by what enters the layer there. Where
each label's row was sent in other parts, the labels have too little in common to be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
# What so few clients move is missing, if that many move it in another row.
_MISSING, _THERE = 0.05, 0.5
# Rows cannot be compared where more is masked, or more than so much and clients fill what is left;
# or where they fill less, and rows tell of other labels by no more than this correlation.
_MASKED, _ALIKE = 0.25, 0.05
_FILLED, _TOLD = 0.9, 0.06
_TINY = 1e-12


@dataclass(frozen=True)
class Gaps:
    """What clients leave out of the columns that they move in some row.

    ``filled`` is the share of rows in which the median client moves such a column, ``masked`` the
    share of rows in which hardly anybody moves what most do in another. ``unsaid``: a label's bias
    is missing for all.
    """

    filled: float = 1.0
    masked: float = 0.0
    unsaid: bool = False

    @property
    def alike(self) -> bool:
        """Whether parts are missing for all clients alike, or too many of them."""
        filled_else = self.masked > _ALIKE and self.filled > _FILLED * (1 - self.masked)
        return self.masked > _MASKED or filled_else

    @property
    def own(self) -> bool:
        """Whether clients leave out parts of their own: to be judged by :func:`told`."""
        return self.filled < _FILLED


class Moves:
    """Adds up what clients move, one label's block (n, columns) after another, the bias last."""

    def __init__(self) -> None:
        self._rows: NDArray[np.intp] | int = 0
        self._shares: list[Array] = []

    def add(self, block: NDArray[np.floating[Any]]) -> None:
        moved = block != 0
        self._rows = self._rows + moved
        self._shares.append(moved.mean(axis=0))

    def gaps(self) -> Gaps:
        rows, shares = np.asarray(self._rows), np.stack(self._shares)
        columns = len(shares) * np.count_nonzero(rows, axis=1)
        there = shares.max(axis=0) > _THERE
        return Gaps(
            float(np.median(rows.sum(axis=1) / np.maximum(columns, 1))),
            float((shares[:, there] < _MISSING).mean()) if there.any() else 0.0,
            bool((shares[:, -1] < _MISSING).any()),
        )


def told(content: Array, claims: Array, pairs: Mask) -> bool:
    """Whether rows tell how much clients hold of the labels of other rows.

    Samples of a label push all other rows down: so with the ``claims`` (n, R) of it, its
    ``content`` (n, R, R) in other rows falls. By the pairs' (R, R) median rank correlation.
    """
    held = rankdata(claims, axis=0)
    ranks = rankdata(content, axis=0)
    ranks -= ranks.mean(axis=0)
    held -= held.mean(axis=0)
    lengths = np.sqrt((ranks**2).sum(axis=0) * (held**2).sum(axis=0))
    falls = -np.einsum("ngs,ns->gs", ranks, held) / np.maximum(lengths, _TINY)
    return bool(np.median(falls[pairs]) > _TOLD)
