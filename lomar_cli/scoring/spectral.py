"""Spectral separation: the squared projection on the top singular vector of the centred updates.

Spectral signatures (Tran, Li and Madry, NeurIPS 2018, Algorithm 1) with client updates in the
place of the samples' representations: the score is ``((u_i - mean) . v)^2`` and 1.5 times the
assumed number of malicious clients are removed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from lomar_cli.errors import UsageError
from lomar_cli.scoring.base import Judgement, RoundView
from lomar_cli.scoring.common import judged, need_clients, told, top_limit
from lomar_cli.scoring.options import assumed


@dataclass(frozen=True)
class Spectral:
    """``assume_malicious`` is 5 or 10% (default: a fifth); ``times`` the paper's 1.5."""

    by_distance: ClassVar[bool] = True

    assume_malicious: str | None = None
    times: float = 1.5

    def __post_init__(self) -> None:
        if not (self.times >= 0 and math.isfinite(self.times)):
            raise UsageError(f"--set times={self.times}: must be 0 or more")

    def __call__(self, view: RoundView) -> Judgement:
        count = need_clients(view, "spectral", 2)
        malicious = assumed(self.assume_malicious, count)
        removed = min(math.floor(self.times * malicious), count - 1)
        projection = view.geometry.leading
        suspicion = projection**2
        return judged(
            suspicion,
            top_limit(suspicion, removed),
            lambda row: "far out on the direction in which the updates vary most",
            "not among the furthest out on the direction in which the updates vary most",
            {"projection": abs(projection)},
            [
                f"the {removed} furthest out are flagged, malicious or not: {self.times:g} times "
                f"the {malicious} assumed malicious ({told(self.assume_malicious)})"
            ],
        )
