"""Minimum covariance determinant (Rousseeuw and Van Driessen 1999) on a few principal components.

A plain outlier baseline: there are far more parameters than clients, so the covariance of whole
updates does not exist; the robust Mahalanobis distance is taken in the plane, or the space of a
few dimensions, in which the updates vary most. scikit-learn's own estimator (FAST-MCD).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lomar_cli.errors import UsageError
from lomar_cli.scoring.base import Judgement, RoundView, Vector
from lomar_cli.scoring.common import back, by_name, judged, need_clients
from lomar_cli.scoring.geometry import PRINCIPAL

# Clients per component below which a covariance says nothing.
_PER_COMPONENT = 5


@dataclass(frozen=True)
class RobustCovariance:
    """``components`` at most (fewer for few clients); flagged above chi-squared's upper tail."""

    by_distance: ClassVar[bool] = True

    components: int = 5
    false_alarm: float = 0.025

    def __post_init__(self) -> None:
        if not 1 <= self.components <= PRINCIPAL:
            raise UsageError(f"--set components={self.components}: must be 1 to {PRINCIPAL}")
        if not 0 < self.false_alarm < 1:
            raise UsageError(f"--false-alarm {self.false_alarm}: must lie between 0 and 1")

    def __call__(self, view: RoundView) -> Judgement:
        from scipy.stats import chi2

        count = need_clients(view, "robust-covariance", 4)
        points = view.geometry.principal
        real = int((points != 0).any(axis=0).sum())
        used = min(self.components, real, max(1, count // _PER_COMPONENT))
        if used == 0:
            notes = ["all updates are equal: there is no covariance"]
            return judged(np.zeros(count), 0.0, str, "the same as everybody", notes=notes)
        squares = self._distances(view, points[:, :used])
        limit = float(chi2.isf(self.false_alarm, used))
        return judged(
            squares,
            limit,
            lambda row: f"{squares[row] ** 0.5:.3g} robust standard deviations from the middle",
            f"within {limit**0.5:.3g} robust standard deviations of the middle",
            notes=[
                f"{used} principal components; flagged above chi-squared's upper "
                f"{self.false_alarm:g} quantile, {limit:.4g}"
            ],
        )

    def _distances(self, view: RoundView, points: Vector) -> Vector:
        import warnings

        from sklearn.covariance import MinCovDet

        order = by_name(view)
        # Each component on its own scale: the estimator is affine invariant, its checks are not.
        points = points / np.abs(points).max(axis=0)
        with warnings.catch_warnings():
            # More than half may lie on a plane; that is no fault of the person who asks.
            warnings.simplefilter("ignore")
            try:
                found = MinCovDet(random_state=view.seed % 2**32).fit(points[order])
                middle, covariance = found.location_, found.covariance_
            except ValueError:
                # Most coincide: there is no spread, and whoever is elsewhere is far away.
                middle, covariance = np.median(points, axis=0), np.zeros((points.shape[1],) * 2)
        covariance = covariance + 1e-9 * np.eye(points.shape[1])
        away = points[order] - middle
        squares: Vector = (away * np.linalg.solve(covariance, away.T).T).sum(axis=1)
        return back(np.maximum(squares, 0), order)
