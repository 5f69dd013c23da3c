"""Norm clipping (Sun et al., arXiv:1911.07963): no update is longer than a bound.

``sum_i alpha_i u_i / max(1, |u_i| / bound)``: the weighted average of FedAvg over clipped updates.
"""

from __future__ import annotations

from dataclasses import dataclass

from lomar_cli.aggregation.base import Aggregate, Vector, checked, combine
from lomar_cli.aggregation.bound import Bounded, shrink
from lomar_cli.scoring.base import RoundView


@dataclass(frozen=True)
class NormClipping(Bounded):
    """Every client takes part, shortened where it is longer than ``bound``."""

    def __call__(self, view: RoundView, weights: Vector) -> Aggregate:
        view = checked(view)
        own, bound = self.measure(view.updates)
        coefficients = weights / weights.sum() * shrink(own, bound)
        note = f"{int((own > bound).sum())} of {len(own)} updates clipped to length {bound:.4g}"
        return Aggregate(combine(view.updates, coefficients), weights > 0, (note,))
