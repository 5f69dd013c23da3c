"""Centred clipping (Karimireddy, He and Jaggi, ICML 2021, "Learning from history").

``v <- v + sum_i alpha_i (u_i - v) min(1, tau / |u_i - v|)``, a few times. The authors start from
the last round's aggregate and count clients equally; files hold no such memory, so v starts from
zero (no update at all), and alpha are the clients' weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from lomar_cli.aggregation.base import Aggregate, Vector, checked, combine
from lomar_cli.aggregation.bound import shrink
from lomar_cli.aggregation.span import Span
from lomar_cli.errors import UsageError
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.quantity import Bound


@dataclass(frozen=True)
class CentredClipping:
    """``radius`` is tau: a length, or a multiple of the clients' median length (1x)."""

    radius: str = "1x"
    iterations: int = 3

    def __post_init__(self) -> None:
        Bound.parse(self.radius, "radius")
        if self.iterations < 1:
            raise UsageError(f"--set iterations={self.iterations}: must be 1 or more")

    def __call__(self, view: RoundView, weights: Vector) -> Aggregate:
        view = checked(view)
        span = Span(view.updates)
        alpha = weights / weights.sum()
        point = span.point()
        distances = span.distances(point)
        radius = Bound.parse(self.radius, "radius").among(distances)
        for _ in range(self.iterations):
            pull = alpha * shrink(distances, radius)
            # (1 - sum) v + sum_i pull_i u_i, in coefficients.
            point *= 1 - pull.sum()
            point[:-1] += pull
            distances = span.distances(point)
        note = f"clipped at radius {radius:.4g}, {self.iterations} times from zero"
        return Aggregate(combine(view.updates, point[:-1]), alpha > 0, (note,))
