"""A view on what a client's labels leave unexplained.

Honest clients differ mostly because they hold different labels. So the whole update is regressed
on how much of each label a client says it has, over the clients that this explains best, and the
length of what remains is judged. A backdoor, whose samples are like no others of their label,
stands out there however unlike the clients' labels are; so does who lies about its labels.

Everything follows from the distances: no update is read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lomar_cli.scoring.auto.base import Seen, Sight, Vector
from lomar_cli.scoring.auto.forward import split
from lomar_cli.scoring.auto.products import Products
from lomar_cli.scoring.auto.unmix import rows_seen, unfit

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
_CONSTANTS = (5.0, 1.0)
# The clients that the regression is made of: the best explained, a majority with room to spare.
_CORE = 0.6
_STEPS = 12
# Who lies further off than so many usual distances has no part in it: its square takes the digits.
_FARTHEST = 10.0
# Below this a squared length is rounding: the distances are float32.
_ROUNDING = 1e-6


def rest(seen: Seen) -> Sight:
    """Half the logarithm of the squared residual, in the forward search."""
    fault = unfit(seen.geometry.updates)
    if fault is not None:
        return fault
    squares = _left(seen)
    values = np.log(squares) / 2
    found = split(values, *_CONSTANTS, seen.false_alarm)
    centre = float(np.median(values))
    words = {
        int(i): f"its labels leave {np.exp(values[i] - centre):.2g} times as much unexplained as "
        "usual"
        for i in np.flatnonzero(found.suspicion > 1)
    }
    return Sight(found.suspicion, found.found, words)


def _left(seen: Seen) -> Vector:
    """Squared length (n,) of every update's residual.

    Least trimmed squares by concentration (Rousseeuw & Van Driessen 2006): fit the core, take the
    best explained as the next core, until it stays.
    """
    count = seen.geometry.count
    claims = rows_seen(seen, np.ones(count, dtype=bool)).claims
    mixes = np.concatenate([np.ones((count, 1)), claims], axis=1)
    reach = seen.geometry.profile(max(1, count // 2)).kth
    near = seen.trusted & (reach <= _FARTHEST * np.median(reach))
    products = Products(seen.geometry.squares, near)
    wanted = min(int(np.ceil(_CORE * count)), int(near.sum()))
    core = near
    for _ in range(_STEPS):
        squares = _residuals(products, mixes, core)
        order = np.argsort(np.where(near, squares, np.inf), kind="stable")
        best = np.zeros(count, dtype=bool)
        best[order[:wanted]] = True
        if (best == core).all():
            break
        core = best
    return squares


def _residuals(products: Products, mixes: Array, core: Mask) -> Vector:
    """Squared residuals (n,) of a least squares fit over the ``core``.

    Those of the core are enlarged, and those of others reduced, by what their leverage makes of
    the same noise.
    """
    own = mixes[core]
    weights = np.zeros_like(mixes)
    weights[core] = np.linalg.pinv(own, rcond=_ROUNDING).T
    fitted = products.times(weights)
    squares = products.diagonal - 2 * (mixes * fitted).sum(axis=1)
    squares += ((mixes @ (weights.T @ fitted)) * mixes).sum(axis=1)
    leverage = ((mixes @ (weights.T @ weights)) * mixes).sum(axis=1)
    scale = np.where(core, np.maximum(1 - leverage, 0.05), 1 + leverage)
    floor = _ROUNDING * max(float(np.median(products.diagonal)), 1e-300)
    found: Vector = np.maximum(squares, floor) / scale
    return found
