"""ECOD (Li et al., TKDE 2022, Algorithm 1): empirical tail probabilities, feature by feature.

With the left tail ``F_j(x)``, the share of clients at or below x on feature j, and the right tail
alike, three sums of ``-log`` tail probabilities over all features (left tails, right tails, and
each feature's tail on the side of its skewness); the largest of the three is the score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lomar_cli.scoring.base import Judgement, RoundView, Vector
from lomar_cli.scoring.common import columns, judged, mad_limit, need_clients

_CELLS = 2**20
_WHO = np.uint64(2**29 - 1)


@dataclass(frozen=True)
class Ecod:
    """No options: the method has none."""

    def __call__(self, view: RoundView) -> Judgement:
        count = need_clients(view, "ecod", 2)
        left, right, skewed = (np.zeros(count) for _ in range(3))
        short = view.updates.dtype.itemsize <= 4
        for block in columns(view.updates, _CELLS):
            # A feature a row, which lies together; one that is the same for all surprises nobody.
            values = np.ascontiguousarray(block.T)
            values = values[values.min(axis=1) < values.max(axis=1)]
            order, below, above = _tails(values, short)
            offsets = values - values.mean(axis=1, keepdims=True)
            cubes = offsets * offsets * offsets
            # Not rounding's side where there is no skewness.
            negative = cubes.sum(axis=1) < -1e-12 * np.abs(cubes).sum(axis=1)
            for total, tails in (
                (left, below),
                (right, above),
                (skewed, np.where(negative[:, None], below, above)),
            ):
                # Sums by client over all ranks: what is at a rank goes to who holds it.
                total += np.bincount(order.ravel(), tails.ravel(), count)
        scores = np.max([left, right, skewed], axis=0)
        limit, note = mad_limit(scores)
        return judged(
            scores,
            limit,
            lambda row: "in the tails of more parameters, or further out, than the others",
            "no further out in the parameters' tails than the others",
            {"left": left, "right": right, "skewed": skewed},
            [note],
        )


def _tails(values: Vector, short: bool) -> tuple[NDArray[np.intp], Vector, Vector]:
    """Who is at each rank of every row of (c, n) values, and ``-log`` of the left and the right
    tail probability there; all (c, n). ``short`` are values of at most 32 bits each, made longer.
    """
    count = values.shape[1]
    order, ordered = _ranked(values, short)
    surprise = -np.log(np.arange(1, count + 1) / count)
    below, above = (np.tile(each, (len(values), 1)) for each in (surprise, surprise[::-1]))
    apart = ordered[:, 1:] > ordered[:, :-1]
    tied = np.flatnonzero(~apart.all(axis=1))
    if len(tied):
        # Equal values share their tails: both count all of them.
        edge = np.ones((len(tied), 1), bool)
        starts, ends = np.hstack([edge, apart[tied]]), np.hstack([apart[tied], edge])
        place = np.arange(count)
        last = np.minimum.accumulate(np.where(ends, place, count)[:, ::-1], axis=1)[:, ::-1]
        first = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
        below[tied], above[tied] = surprise[last], surprise[count - 1 - first]
    return order, below, above


def _ranked(values: Vector, short: bool) -> tuple[NDArray[np.intp], Vector]:
    """Who holds the values at each rank of every row, and these values, (c, n) both."""
    if not short:
        order = values.argsort(axis=1)
        return order, np.take_along_axis(values, order, axis=1)
    # The 29 bits that a longer type has for nothing say whose value it is: sorted alone, they
    # bring their order along, in half of the time.
    ordered = values.copy()
    bits = ordered.view(np.uint64)
    bits |= np.arange(values.shape[1], dtype=np.uint64)
    ordered.sort(axis=1)
    order = (bits & _WHO).astype(np.intp)
    bits &= ~_WHO
    return order, ordered
