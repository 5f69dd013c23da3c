"""A threshold that outliers cannot drag along: a forward search over sorted values.

The core starts as the lower 55 % of the values (an honest majority is assumed) and takes in the
next value as long as that lies near it. What lies beyond the first jump never takes part in the
scale, so attackers cannot hide behind each other, as they do once they are more than a quarter
and median and MAD are taken over everybody. Forward search: Atkinson & Riani (2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
START = 0.55
# The share of clean clients that the constants of the views were chosen for.
USUAL_FALSE_ALARM = 0.01
# Where nobody is found, ranks are by the spread of so many; so many spreads are next to the
# threshold, and nobody is raised nearer.
_MOST, _SPREADS, _NEXT = 0.8, 10.0, 0.98
_NO_SPREAD = 1e-9


@dataclass(frozen=True)
class Split:
    """Where honest values end.

    ``suspicion`` (n,) is the distance above the core's median in units of the threshold's: above
    1 for those beyond it. ``found`` says whether anybody is.
    """

    suspicion: Vector
    found: bool


def split(
    values: Vector, width: float, gap: float, false_alarm: float, noise: float = 0.0
) -> Split:
    """Search for the first value that is far from the core and from the value before it.

    ``width`` and ``gap`` are in units of the core's spread; ``width`` grows for small rounds,
    whose spread is known less well, and with a smaller ``false_alarm``. Without a spread (most
    values equal), or where the first 55 % are not alike themselves, nobody is found. The spread
    is at least ``noise``: where most values are equal, a few others must not make it tiny.
    """
    count = len(values)
    ordered = np.sort(values)
    usual = width * (1 + 10 / count)
    factor = usual * strictness(false_alarm)
    start = int(np.ceil(START * count))
    limit = np.inf
    centre, spread = _core(ordered[:start], noise)
    # Where the core itself reaches so far, it is no majority that agrees.
    agrees = ordered[start - 1] <= centre + usual * spread
    for i in range(start if agrees else count, count):
        centre, spread = _core(ordered[:i], noise)
        if (
            spread > 0
            and ordered[i] > centre + factor * spread
            and ordered[i] - ordered[i - 1] > gap * spread
        ):
            limit = (ordered[i] + ordered[i - 1]) / 2
            break
    else:
        centre, spread = _core(ordered, noise)
    found = bool(np.isfinite(limit))
    if not found:
        # Nobody is beyond it; the scale is such that nobody comes out above 1 either.
        beyond = max(factor * spread, 1.01 * float(ordered[-1] - centre))
        if beyond <= 1e-12 * abs(centre):
            return Split(np.zeros(count), False)
        limit = centre + beyond
    return Split(np.maximum((values - centre) / (limit - centre), 0.0), found)


def ranked(suspicion: Vector) -> Vector:
    """Suspicions (n,) of a view that found nobody, those higher that stand apart from the most.

    A group that ends the search nowhere widens the scale of its own suspicion, and would rank
    below the single outliers of other views. For views by what honest clients have alike.
    """
    ordered = np.sort(suspicion)
    centre, spread = _core(ordered[: int(np.ceil(_MOST * len(ordered)))])
    if spread < _NO_SPREAD:
        return suspicion
    apart: Vector = np.minimum((suspicion - centre) / (_SPREADS * spread), _NEXT)
    return np.maximum(suspicion, apart)


def strictness(false_alarm: float) -> float:
    """How much wider than usual: the ratio of two normal quantiles."""
    normal = NormalDist()
    return normal.inv_cdf(1 - false_alarm / 10) / normal.inv_cdf(1 - USUAL_FALSE_ALARM / 10)


def _core(ordered: Vector, noise: float = 0.0) -> tuple[float, float]:
    """Median and spread of sorted values: the larger of the two sides' 34 %, or ``noise``."""
    low, centre, high = (_quantile(ordered, share) for share in (0.1587, 0.5, 0.8413))
    return centre, max(centre - low, high - centre, noise)


def _quantile(ordered: Vector, share: float) -> float:
    """``numpy.quantile`` of sorted values, which it would sort again at every step."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    rest = place - below
    low, high = float(ordered[below]), float(ordered[above])
    if rest < 0.5:
        return low + (high - low) * rest
    return high - (high - low) * (1 - rest)
