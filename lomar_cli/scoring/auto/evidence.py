"""Whether a round holds more clients with a high contrast in one pair than chance would give.

One client's contrast is weak evidence where it holds two samples of a class; forty of them are
strong. So pairs are judged first, over all clients, and only in a pair that is found guilty does
each client's own contrast decide, at a level that no single client would be removed by.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, ndtr

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
_LEAST_Z, _LEAST_CLIENTS = 1.0, 3
# The normal tail is taken so much wider: what the fits leave is not normal.
_WIDER = 1.3


def evidence(z: Array, rows: Mask) -> Array:
    """log10 of the chance (R, R) of as many high z among ``rows`` as there are; 0 is none.

    The smallest binomial tail over all heights (Berk & Jones 1979). The chance of a height is
    the larger of a normal tail and of its share among all other pairs' z: the round is its own
    null.
    """
    z = z[rows]
    count, labels, _ = z.shape
    judged: Mask = np.logical_not(np.isnan(z).any(axis=0))
    found = np.zeros((labels, labels))
    if not judged.any():
        return found
    pool = np.sort(z[:, judged].ravel())
    for g, s in np.argwhere(judged):
        high = np.sort(z[:, g, s])[::-1][: count // 2]
        order = np.arange(1, len(high) + 1)
        usable = (high > _LEAST_Z) & (order >= _LEAST_CLIENTS)
        if not usable.any():
            continue
        high, order = high[usable], order[usable]
        others = len(pool) - np.searchsorted(pool, high, side="left") - order + 1
        shared = others / max(len(pool) - count, 1)
        chance = np.minimum(np.maximum(shared, ndtr(-high / _WIDER)), 1.0)
        # So many or more of the clients: a binomial tail, floored where it underflows.
        tails = bdtrc(order - 1, count, chance)
        found[g, s] = math.log10(max(float(tails.min()), 1e-300))
    return found


def level(z: Array, rows: Mask, guilty: list[int], share: float, least: float) -> float:
    """The z that ``share`` of the clients exceed in pairs whose source label is not guilty."""
    judged: Mask = np.logical_not(np.isnan(z[rows]).any(axis=0))
    innocent: Mask = judged.copy()
    innocent[:, guilty] = False
    if not innocent.any():
        innocent = judged
    return max(float(np.quantile(z[rows][:, innocent], 1 - share)), least)
