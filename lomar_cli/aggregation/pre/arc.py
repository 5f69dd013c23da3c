"""Adaptive robust clipping, ARC (Allouah et al., ICLR 2025, arXiv:2405.14432).

The ``floor(2 f / n (n - f))`` longest updates are clipped to the length of the longest other one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lomar_cli.aggregation.base import Vector, checked, lengths, need
from lomar_cli.aggregation.bound import shrink
from lomar_cli.aggregation.pre import Mix
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.options import assumed


@dataclass(frozen=True)
class ARC:
    """``assume_malicious`` is f."""

    assume_malicious: str | None = None

    def __call__(self, view: RoundView, weights: Vector) -> Mix:
        count = len(weights)
        malicious = assumed(self.assume_malicious, count)
        need("--pre arc", count, malicious + 1, f"n > f with f = {malicious}")
        own = lengths(checked(view).updates)
        clipped = 2 * malicious * (count - malicious) // count
        bound = float(np.sort(own)[count - clipped - 1])
        return Mix(np.diag(shrink(own, bound)), weights)
