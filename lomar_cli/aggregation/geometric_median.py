"""The geometric median by the smoothed Weiszfeld algorithm, RFA (Pillutla et al., IEEE TSP 2022).

It minimises ``sum_i alpha_i |u_i - v|`` with FedAvg's weights alpha: every step is a
weighted mean with ``beta_i = alpha_i / max(nu, |u_i - v|)`` (their smoothed Weiszfeld algorithm).

The first v is such a mean too, by each client's median distance to the others: from the plain mean
one huge update takes the algorithm hundreds of steps to get away from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lomar_cli.aggregation.base import Aggregate, Vector, checked, combine
from lomar_cli.aggregation.span import Span
from lomar_cli.errors import UsageError
from lomar_cli.scoring.base import RoundView


@dataclass(frozen=True)
class GeometricMedian:
    """``smoothing`` is nu; it ends at a step below ``tolerance`` median distances."""

    smoothing: float = 1e-6
    iterations: int = 100
    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        if not (self.smoothing > 0 and math.isfinite(self.smoothing)):
            raise UsageError(f"--set smoothing={self.smoothing}: must be above 0")
        if self.iterations < 1:
            raise UsageError(f"--set iterations={self.iterations}: must be 1 or more")
        if not self.tolerance >= 0:
            raise UsageError(f"--set tolerance={self.tolerance}: must be 0 or more")

    def __call__(self, view: RoundView, weights: Vector) -> Aggregate:
        view = checked(view)
        span = Span(view.updates)
        alpha = weights / weights.sum()
        shares = self._shares(alpha, np.median(span.pairs(), axis=1))
        point = span.point(shares)
        distances = span.distances(point)
        for _ in range(self.iterations):
            shares = self._shares(alpha, distances)
            before, point = point, span.point(shares)
            distances = span.distances(point)
            if span.between(point, before) < self.tolerance * np.median(distances):
                break
        notes = []
        if len(weights) > 1 and distances.max() <= self.smoothing:
            notes.append(
                f"all updates lie within --set smoothing={self.smoothing:g} of the result, which "
                "makes it their plain average; lower it"
            )
        return Aggregate(combine(view.updates, shares), shares > 0, tuple(notes))

    def _shares(self, alpha: Vector, distances: Vector) -> Vector:
        beta: Vector = alpha / np.maximum(self.smoothing, distances)
        shares: Vector = beta / beta.sum()
        return shares
