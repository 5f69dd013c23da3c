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


@dataclass(frozen=True)
class Ecod:
    """No options: the method has none."""

    def __call__(self, view: RoundView) -> Judgement:
        count = need_clients(view, "ecod", 2)
        left, right, skewed = (np.zeros(count) for _ in range(3))
        for block in columns(view.updates, _CELLS):
            order, below, above = _tails(block)
            offsets = block - block.mean(axis=0)
            cubes = offsets * offsets * offsets
            # Not rounding's side where there is no skewness.
            negative = cubes.sum(axis=0) < -1e-12 * np.abs(cubes).sum(axis=0)
            for total, tails in (
                (left, below),
                (right, above),
                (skewed, np.where(negative, below, above)),
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


def _tails(block: Vector) -> tuple[NDArray[np.intp], Vector, Vector]:
    """Who is at each rank of every column of (n, c) values, and ``-log`` of the left and the right
    tail probability there; all (n, c)."""
    count = len(block)
    order = block.argsort(axis=0)
    ordered = np.take_along_axis(block, order, axis=0)
    first = last = np.broadcast_to(np.arange(count)[:, None], block.shape)
    apart = ordered[1:] > ordered[:-1]
    if not apart.all():
        # Equal values share their tails: both count all of them.
        edge = np.ones((1, block.shape[1]), bool)
        starts, ends = np.concatenate([edge, apart]), np.concatenate([apart, edge])
        last = np.minimum.accumulate(np.where(ends, last, count)[::-1], axis=0)[::-1]
        first = np.maximum.accumulate(np.where(starts, first, 0), axis=0)
    surprise = -np.log(np.arange(1, count + 1) / count)
    return order, surprise[last], surprise[count - 1 - first]
