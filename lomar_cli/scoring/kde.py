"""Kernel density over whole updates: an update where few others are is suspicious.

A plain outlier baseline: a Gaussian kernel, each client left out of its own density (Parzen 1962).
The kernel's constant, which depends on the dimension alone, is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lomar_cli.scoring.base import Judgement, RoundView
from lomar_cli.scoring.common import judged, mad_limit, need_clients
from lomar_cli.scoring.quantity import Bandwidth
from lomar_cli.scoring.selection import median


@dataclass(frozen=True)
class Kde:
    """``bandwidth`` is 0.02, or 1x the median distance of two clients."""

    by_distance: ClassVar[bool] = True

    bandwidth: str = "1x"

    def __post_init__(self) -> None:
        Bandwidth.parse(self.bandwidth)

    def __call__(self, view: RoundView) -> Judgement:
        count = need_clients(view, "kde", 2)
        squares = view.geometry.squares.astype(np.float64)
        others = ~np.eye(count, dtype=bool)
        wanted = Bandwidth.parse(self.bandwidth)
        h = wanted.value
        if wanted.relative:
            h *= math.sqrt(median(squares[others])) or 1.0
        exponents = -0.5 * (np.sqrt(squares) / h) ** 2
        np.fill_diagonal(exponents, -np.inf)
        highest = exponents.max(axis=1)
        logs = highest + np.log(np.exp(exponents - highest[:, None]).sum(axis=1) / (count - 1))
        limit, note = mad_limit(-logs)
        return judged(
            -logs,
            limit,
            lambda row: "few other updates lie near it",
            "other updates lie near it",
            {"log_density": logs},
            [f"Gaussian kernel with h = {h:.4g}", note],
        )
