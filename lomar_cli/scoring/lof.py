"""Local outlier factor (Breunig et al., SIGMOD 2000, definition 7) over whole updates.

A plain outlier baseline: scikit-learn's own estimator on the shared distances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from lomar_cli.errors import UsageError
from lomar_cli.scoring.base import Judgement, RoundView, Vector
from lomar_cli.scoring.common import back, by_name, judged, need_clients
from lomar_cli.scoring.quantity import Neighbors
from lomar_cli.scoring.selection import median

# Distances that 1e-10 is not small beside.
_TINY = 1e-4


@dataclass(frozen=True)
class Lof:
    """``neighbors`` as for LoMar: 50, or 0.5n of the clients. ``limit`` is scikit-learn's 1.5."""

    by_distance: ClassVar[bool] = True

    neighbors: str = "0.5n"
    limit: float = 1.5

    def __post_init__(self) -> None:
        Neighbors.parse(self.neighbors)
        if not math.isfinite(self.limit):
            raise UsageError(f"--set limit={self.limit}: must be a number")

    def __call__(self, view: RoundView) -> Judgement:
        from sklearn.neighbors import LocalOutlierFactor

        count = need_clients(view, "lof", 2)
        k = Neighbors.parse(self.neighbors).count(count)
        order = by_name(view)
        estimator = LocalOutlierFactor(n_neighbors=k, metric="precomputed")
        distances = view.geometry.distances[order][:, order]
        middle = median(distances)
        if 0 < middle < _TINY:
            # scikit-learn adds 1e-10 to every reachability: the factor itself knows no scale.
            distances = distances / middle
        estimator.fit(distances)
        factors: Vector = back(-estimator.negative_outlier_factor_, order).astype(float)
        return judged(
            factors,
            self.limit,
            lambda row: (
                f"its neighbourhood is {factors[row]:.3g} times thinner than its neighbours'"
            ),
            f"its neighbourhood is at most {self.limit:g} times thinner than its neighbours'",
            notes=[f"local outlier factor of {k} neighbours, flagged above {self.limit:g}"],
        )
