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

from lomar_cli.scoring.auto.contrast import Contrasts

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
_TINY = 1e-300
# Fewer clients than that are no evidence, however high their z.
LEAST_Z, LEAST_CLIENTS = 1.0, 3
# The normal tail is taken so much wider: what the fits leave is not normal.
WIDER = 1.3
# How far below 0 clients lie is told so finely, and no further than eight.
DEPTHS = np.arange(0.0, 8.05, 0.1)


def evidence(found: Contrasts, rows: Mask) -> Array:
    """log10 of the chance (R, R) of as many high z among ``rows`` as there are; 0 is none.

    The smallest binomial tail over all heights (Berk & Jones 1979). The chance of a height is, in
    the mean over clients, that of a normal tail above where a client lies for what it holds of s:
    in a class that most clients hold few honest ones come near 0. The round is its own null: where
    other pairs have more such z than that, the chance is raised as much, or to their share.
    """
    z, below = found.z[rows], found.below[rows]
    count, labels, _ = z.shape
    judged: Mask = np.logical_not(np.isnan(z).any(axis=0))
    chances = np.zeros((labels, labels))
    if not judged.any():
        return chances
    pool = np.sort(z[:, judged].ravel())
    depths = counts(below[:, judged])
    everywhere = depths.sum(axis=0)
    for (g, s), own in zip(np.argwhere(judged), depths, strict=True):
        high = np.sort(z[:, g, s])[::-1][: count // 2]
        order = np.arange(1, len(high) + 1)
        usable = (high > LEAST_Z) & (order >= LEAST_CLIENTS)
        if not usable.any():
            continue
        high, order = high[usable], order[usable]
        tails = ndtr(-(high[:, None] + DEPTHS) / WIDER)
        here, elsewhere = tails @ own, tails @ (everywhere - own)
        others = len(pool) - np.searchsorted(pool, high, side="left") - order + 1
        shared = others / max(len(pool) - count, 1)
        raised = here / count * others / np.maximum(elsewhere, _TINY)
        chance = np.clip(np.minimum(raised, shared), here / count, 1.0)
        # So many or more of the clients: a binomial tail, floored where it underflows.
        binomial = bdtrc(order - 1, count, chance)
        chances[g, s] = math.log10(max(float(binomial.min()), _TINY))
    return chances


def counts(below: Array) -> NDArray[np.intp]:
    """How many clients (pairs, depths) lie so far below 0, by pairs (n, pairs)."""
    places = np.rint(np.minimum(below / DEPTHS[1], len(DEPTHS) - 1)).astype(np.intp)
    return np.stack([np.bincount(one, minlength=len(DEPTHS)) for one in places.T])


def level(z: Array, rows: Mask, guilty: list[int], share: float, least: float) -> float:
    """The z that ``share`` of the clients exceed in pairs whose source label is not guilty."""
    judged: Mask = np.logical_not(np.isnan(z[rows]).any(axis=0))
    innocent: Mask = judged.copy()
    innocent[:, guilty] = False
    if not innocent.any():
        innocent = judged
    return max(float(np.quantile(z[rows][:, innocent], 1 - share)), least)
