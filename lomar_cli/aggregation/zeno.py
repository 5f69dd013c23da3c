"""Zeno_b (Xie, Koyejo and Gupta, ICML 2019): the mean of all but the b least useful steps.

The scores are those of the method ``zeno``: how far a step lowers the loss on held-out data, less
what its length costs. Weights are not used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lomar_cli.aggregation.base import Aggregate, Vector, checked, counts_once
from lomar_cli.aggregation.krum import mean_of
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.options import assumed
from lomar_cli.scoring.zeno import Zeno as Method


@dataclass(frozen=True)
class Zeno:
    """Options as of the method ``zeno``; ``assume_malicious`` is b."""

    assume_malicious: str | None = None
    gamma: float = 1.0
    rho: float = 0.0005

    def __post_init__(self) -> None:
        self._method()

    def __call__(self, view: RoundView, weights: Vector) -> Aggregate:
        count = len(weights)
        view = checked(view)
        scores, _ = self._method().scores(view, "--rule zeno")
        left_out = min(assumed(self.assume_malicious, count), count - 1)
        rows = np.sort(np.argsort(scores, kind="stable")[left_out:])
        return mean_of(view.updates, rows, counts_once("zeno", weights))

    def _method(self) -> Method:
        return Method(self.assume_malicious, self.gamma, self.rho)
