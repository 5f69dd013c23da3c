"""Divide and conquer, DnC (Shejwalkar and Houmansadr, NDSS 2021).

Each iteration takes a random subset of the coordinates, centres it, projects on its top right
singular vector v and drops the ``filter * M`` clients with the largest ``((u_i - mean) . v)^2``.
Those never dropped are kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lomar_cli.errors import UsageError
from lomar_cli.scoring.base import Judgement, RoundView, Vector
from lomar_cli.scoring.common import judged, need_clients, take, told, top_limit
from lomar_cli.scoring.components import coordinates_of_rows
from lomar_cli.scoring.options import assumed


@dataclass(frozen=True)
class DnC:
    """``coordinates`` is the paper's b, ``iterations`` its niters, ``filter`` its c."""

    by_distance: ClassVar[bool] = True
    reads_columns: ClassVar[bool] = True

    assume_malicious: str | None = None
    iterations: int = 1
    coordinates: int = 10_000
    filter: float = 1.0

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise UsageError(f"--set iterations={self.iterations}: must be 1 or more")
        if self.coordinates < 1:
            raise UsageError(f"--set coordinates={self.coordinates}: must be 1 or more")
        if not (self.filter >= 0 and math.isfinite(self.filter)):
            raise UsageError(f"--set filter={self.filter}: must be 0 or more")

    def __call__(self, view: RoundView) -> Judgement:
        count = need_clients(view, "dnc", 2)
        malicious = assumed(self.assume_malicious, count)
        removed = min(math.floor(self.filter * malicious), count - 1)
        rng = np.random.default_rng(view.seed)
        ratios = [self._ratio(view, rng, removed) for _ in range(self.iterations)]
        whole = self.coordinates >= view.updates.size
        drawn = "all coordinates" if whole else f"{self.coordinates} random coordinates"
        return judged(
            np.max(ratios, axis=0),
            1.0,
            lambda row: "far out on the direction in which the updates vary most",
            "not among the furthest out in any draw of coordinates",
            notes=[
                f"{removed} are flagged in each of {self.iterations} draws of {drawn}, malicious "
                f"or not: {self.filter:g} times the {malicious} assumed malicious "
                f"({told(self.assume_malicious)})"
            ],
        )

    def _ratio(self, view: RoundView, rng: np.random.Generator, removed: int) -> Vector:
        """Outlier scores of one draw, in units of the largest one that is kept."""
        if self.coordinates >= view.updates.size:
            first = view.geometry.leading
        else:
            places = np.sort(rng.choice(view.updates.size, self.coordinates, replace=False))
            drawn = take(view.updates, places)
            drawn -= drawn.mean(axis=0)
            first = coordinates_of_rows(drawn, 1)[:, 0]
        scores: Vector = first**2
        limit = top_limit(scores, removed)
        if limit > 0:
            return np.minimum(scores / limit, 1e300)
        return np.where(scores > 0, 2.0, 0.0)
