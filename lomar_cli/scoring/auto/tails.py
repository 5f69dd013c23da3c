"""The evidence of a few clients far out, whose like no other pair has.

``evidence`` measures a pair by how many z of other pairs lie as far out, and so cannot tell a
chance below one in all of these. Here the tail that they show is carried on beyond them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, gammaincc, gammaln, ndtr

from lomar_cli.scoring.auto.contrast import Contrasts
from lomar_cli.scoring.auto.evidence import DEPTHS, LEAST_Z, WIDER, counts

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]
# Nobody's z alone is evidence of more than such a chance.
LEAST_CHANCE = 1e-12
# This share of other pairs' z, and no fewer than so many, tell how wide the tail is, up to so wide.
SHARE, FEWEST, WIDEST = 0.002, 5, 10.0
_HALVINGS = 30
_TINY = 1e-300


def tail_evidence(found: Contrasts, rows: Mask) -> Array:
    """log10 of the chance (R, R) of z as high as those among ``rows``; 0 is none.

    A client's chance is, in the mean over clients, that of a normal tail beyond where a client lies
    for what it holds of s, as wide as the highest z of all other pairs show, and not narrower than
    for ``evidence``. The lower of two, doubled: the smallest binomial tail over all heights (Berk &
    Jones 1979), and the smallest product of so many lowest chances (Dudbridge & Koeleman 2003),
    bounded by the number of ways to choose them.
    """
    z, below = found.z[rows], found.below[rows]
    count, labels, _ = z.shape
    judged: Mask = np.logical_not(np.isnan(z).any(axis=0))
    chances = np.zeros((labels, labels))
    if not judged.any():
        return chances
    highest = -np.sort(-z[:, judged], axis=0)
    depths = counts(below[:, judged])
    order = np.arange(1, count // 2 + 1)
    ways = gammaln(count + 1) - gammaln(order + 1) - gammaln(count - order + 1)
    pairs = zip(np.argwhere(judged), highest.T, depths, _widths(highest, depths), strict=True)
    for (g, s), own, depth, width in pairs:
        high = own[: count // 2]
        many = int((high > LEAST_Z).sum())
        if not many:
            continue
        tails = ndtr(-(high[:many, None] + DEPTHS) / width)
        chance = np.clip(tails @ depth / count, LEAST_CHANCE, 1.0)
        binomial = np.log(np.maximum(bdtrc(order[:many] - 1, count, chance), _TINY))
        product = gammaincc(order[:many], np.cumsum(-np.log(chance)))
        together = ways[:many] + np.log(np.maximum(product, _TINY))
        least = min(float(binomial.min()), float(together.min())) + math.log(2)
        chances[g, s] = min(least / math.log(10), 0.0)
    return chances


def _widths(highest: Array, depths: Ints) -> Array:
    """How wide each pair's tail is (pairs,), from all pairs' z (n, pairs), the highest first.

    So wide that as many z of other pairs are expected above a height as there are.
    """
    count, pairs = highest.shape
    widths = np.full(pairs, WIDER)
    others = count * (pairs - 1)
    many = max(FEWEST, round(SHARE * others))
    if many > others:
        return widths
    # No more than count of the highest are a pair's own.
    places = np.argsort(-highest, axis=None, kind="stable")[: many + count]
    values, owners = highest.ravel()[places], places % pairs
    elsewhere = depths.sum(axis=0) - depths
    for pair in range(pairs):
        height = float(values[owners != pair][many - 1])
        if height > LEAST_Z:
            widths[pair] = _width(height, elsewhere[pair], many)
    return widths


def _width(height: float, depths: Ints, many: int) -> float:
    """How wide a tail is, of which ``many`` lie above a height."""
    low, high = WIDER, WIDEST
    if _expected(height, depths, low) >= many:
        return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _expected(height, depths, middle) < many:
            low = middle
        else:
            high = middle
    return high


def _expected(height: float, depths: Ints, width: float) -> float:
    return float(ndtr(-(height + DEPTHS) / width) @ depths)
