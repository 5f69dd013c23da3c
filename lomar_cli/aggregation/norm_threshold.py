"""Norm thresholding (Sun et al., arXiv:1911.07963): updates beyond a bound are ignored.

Boosted updates are long ones; the rest are averaged by their weights, as in FedAvg.
"""

from __future__ import annotations

from dataclasses import dataclass

from lomar_cli.aggregation.base import Aggregate, Vector, checked, combine
from lomar_cli.aggregation.bound import Bounded
from lomar_cli.errors import LomarError
from lomar_cli.scoring.base import RoundView


@dataclass(frozen=True)
class NormThreshold(Bounded):
    """Only clients no longer than ``bound`` take part."""

    bound: str = "2x"

    def __call__(self, view: RoundView, weights: Vector) -> Aggregate:
        view = checked(view)
        own, bound = self.measure(view.updates)
        short = weights * (own <= bound)
        if not short.sum() > 0:
            raise LomarError(
                f"--rule norm-threshold: every update is longer than {bound:.4g} (the shortest is "
                f"{own.min():.4g}); raise it by --set bound=LENGTH"
            )
        note = f"{int((own > bound).sum())} of {len(own)} updates are longer than {bound:.4g}"
        return Aggregate(combine(view.updates, short / short.sum()), short > 0, (note,))
