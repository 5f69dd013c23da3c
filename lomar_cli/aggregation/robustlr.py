"""Robust learning rate (Ozdayi, Kantarcioglu and Gel, AAAI 2021).

Where fewer clients agree on a parameter's sign than the threshold theta, ``|sum_i sign(u_i)| <
theta``, the averaged update is applied with the opposite sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.aggregation.base import Aggregate, Vector, by_column, check_finite
from lomar_cli.errors import UsageError
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.quantity import relative


@dataclass(frozen=True)
class RobustLr:
    """``theta`` is 4, or 0.4n of the clients (default: the paper's 4 of 10)."""

    theta: str = "0.4n"

    def __post_init__(self) -> None:
        self._theta(1)

    def __call__(self, view: RoundView, weights: Vector) -> Aggregate:
        count = len(view.updates.clients)
        theta = self._theta(count)
        shares = weights / weights.sum()
        rows = np.arange(count)
        flipped = 0

        def column(block: NDArray[Any]) -> NDArray[np.float64]:
            nonlocal flipped
            wide = block.astype(np.float64)
            check_finite(wide, view.updates, rows)
            against = np.abs(np.sign(wide).sum(axis=0)) < theta
            flipped += int(against.sum())
            mean: NDArray[np.float64] = shares @ wide
            return np.where(against, -mean, mean)

        update = by_column(view.updates, column)
        note = (
            f"theta = {theta:g} of {count} signs: {flipped} of {view.updates.size} parameters "
            "move against the average"
        )
        return Aggregate(update, weights > 0, (note,))

    def _theta(self, clients: int) -> float:
        value, share = relative(self.theta, "n")
        if not (0 <= value <= 1 if share else 0 <= value < 2**53):
            raise UsageError(
                f"--set theta={self.theta}: must be a number of clients (4) or a share (0.4n)"
            )
        # Not above a whole number that the share is meant to be: 0.28 * 100 is 28.000000000000004.
        return value * clients - 1e-9 if share else value
