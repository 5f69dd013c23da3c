"""A round's updates in two dimensions, for figures of a verdict."""

from __future__ import annotations

import numpy as np

from lomar_cli.plots.verdict import Plane
from lomar_cli.scoring.judge import Screened


def plane(screened: Screened) -> Plane:
    """The first two principal components of those clients that were not set aside."""
    points = np.full((screened.count, 2), np.nan)
    if screened.view is None:
        return Plane(points, (0.0, 0.0))
    geometry = screened.view.geometry
    found = geometry.principal[:, :2]
    rows = [row for row in range(screened.count) if row not in screened.aside]
    # A few far-off updates pull the mean, where components begin, away from all others.
    points[rows] = found - np.median(found, axis=0)
    # Of all pairs: the variance times 2 n^2 is the sum of the squared distances.
    total = float(geometry.squares.sum(dtype=np.float64)) / (2 * len(rows))
    shares = (found**2).sum(axis=0) / total if total > 0 else np.zeros(2)
    return Plane(points, (float(shares[0]), float(shares[1])))
