"""Nearest-neighbour mixing, NNM (Allouah et al., AISTATS 2023).

Every update is replaced by the mean of the n - f updates nearest to it, itself included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lomar_cli.aggregation.base import Vector, checked, counts_once, need
from lomar_cli.aggregation.pre import Mix
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.options import assumed


@dataclass(frozen=True)
class NNM:
    """``assume_malicious`` is f. A mixed update keeps the weight of the client it stands for."""

    assume_malicious: str | None = None

    def __call__(self, view: RoundView, weights: Vector) -> Mix:
        count = len(weights)
        malicious = assumed(self.assume_malicious, count)
        need("--pre nnm", count, malicious + 1, f"n > f with f = {malicious}")
        squares = checked(view).geometry.squares
        near = count - malicious
        nearest = np.argsort(squares, axis=1, kind="stable")[:, :near]
        matrix = np.zeros((count, count))
        np.put_along_axis(matrix, nearest, 1 / near, axis=1)
        return Mix(matrix, weights, counts_once("nnm", weights))
