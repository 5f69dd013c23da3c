"""What is missing from the output layer's rows, as after sparsification, masks or coarse rounding.

A sample moves the rows of all labels at the same columns, by what enters the layer there. Where
each label's row was sent in other parts, the labels have too little in common to be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
# A label that so few clients move in any column has no row.
_DEAD = 0.05
# Of the clients who move a column in some row, so few move what is missing, and so many what is
# there: a mask that all have in common leaves next to nothing in between (as a share of what is
# missing), whatever a third of the clients send.
_MISSING, _THERE, _BETWEEN = 0.45, 0.65, 0.05
# Columns count that most clients move in some row.
_MOST = 0.5
# Rows cannot be compared where more is missing under a common mask, or where hardly anybody moves
# so much; or where clients fill less, and rows tell of other labels by no more than a correlation.
_MASKED, _HARDLY, _MUCH = 0.05, 0.05, 0.2
_FILLED, _TOLD = 0.8, 0.06
_TINY = 1e-12


@dataclass(frozen=True)
class Gaps:
    """What clients leave out of the columns that they move in some row.

    ``filled`` is the share of rows in which the median client moves such a column. ``refused``: too
    much is missing for all clients alike. ``dead`` (R,) are labels that hardly anybody moves, and
    ``unsaid`` tells that the bias of another one is missing for most.
    """

    filled: float
    refused: bool
    unsaid: bool
    dead: Mask

    @property
    def own(self) -> bool:
        """Whether clients leave out parts of their own: to be judged by :func:`told`."""
        return self.filled < _FILLED


class Moves:
    """Adds up what clients move, one label's block (n, columns) after another, the bias last."""

    def __init__(self) -> None:
        self._rows: NDArray[np.uint8] | None = None
        self._shares: list[NDArray[np.float32]] = []

    def add(self, block: NDArray[np.floating[Any]]) -> None:
        """The next label's, of the trusted clients; there are at most 255 labels."""
        moved = block != 0
        if self._rows is None:
            self._rows = moved.astype(np.uint8)
        else:
            self._rows += moved
        many = np.count_nonzero(moved, axis=0)
        self._shares.append((many / max(len(block), 1)).astype(np.float32))

    def gaps(self) -> Gaps:
        assert self._rows is not None
        shares = np.stack(self._shares)
        dead = shares.max(axis=1) < _DEAD
        alive = shares[~dead]
        columns = max(len(alive), 1) * np.count_nonzero(self._rows, axis=1)
        filled = self._rows.sum(axis=1, dtype=np.intp) / np.maximum(columns, 1)
        there = alive[:, alive.max(axis=0, initial=0) > _MOST]
        parts, biases = _relative(there), _relative(alive[:, -1:])
        return Gaps(
            float(np.median(filled)),
            _masked(parts, _MASKED) or _low(there, _HARDLY) > _MUCH,
            _masked(biases, 0.0) or _low(biases, _HARDLY) > 0,
            dead,
        )


def _relative(shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shares (R, columns) of clients as shares of those who move the column in some row."""
    most = shares.max(axis=0, initial=0)
    found: NDArray[np.float32] = np.divide(shares, most, out=np.zeros_like(shares), where=most > 0)
    return found


def _low(parts: NDArray[np.float32], bar: float) -> float:
    return float((parts < bar).mean()) if parts.size else 0.0


def _masked(parts: NDArray[np.float32], least: float) -> bool:
    """Whether more than ``least`` is missing, and the rest is there."""
    low = _low(parts, _MISSING)
    return low > least and _low(parts, _THERE) - low <= _BETWEEN * low


def told(content: Array, claims: Array, pairs: Mask) -> bool:
    """Whether rows tell how much clients hold of the labels of other rows.

    Samples of a label push all other rows down: so with the ``claims`` (n, R) of it, its
    ``content`` (n, R, R) in other rows falls. By the pairs' (R, R) median rank correlation.
    """
    # It takes long to import, and few rounds need it.
    from scipy.stats import rankdata

    held = rankdata(claims, axis=0)
    ranks = rankdata(content, axis=0)
    ranks -= ranks.mean(axis=0)
    held -= held.mean(axis=0)
    lengths = np.sqrt((ranks**2).sum(axis=0) * (held**2).sum(axis=0))
    falls = -np.einsum("ngs,ns->gs", ranks, held) / np.maximum(lengths, _TINY)
    return bool(np.median(falls[pairs]) > _TOLD)
