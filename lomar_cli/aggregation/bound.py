"""What rules that hold updates to a length share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lomar_cli.aggregation.base import Vector, lengths
from lomar_cli.files.updates import Updates
from lomar_cli.scoring.quantity import Bound


@dataclass(frozen=True)
class Bounded:
    """``bound`` is a length, or a multiple of the clients' median length (1x)."""

    OPTION: ClassVar[str] = "bound"

    bound: str = "1x"

    def __post_init__(self) -> None:
        Bound.parse(self.bound, self.OPTION)

    def measure(self, updates: Updates) -> tuple[Vector, float]:
        """The updates' lengths (n,) and the bound among them."""
        own = lengths(updates)
        return own, Bound.parse(self.bound, self.OPTION).among(own)


def shrink(lengths: Vector, bound: float) -> Vector:
    """``min(1, bound / length)``, and 1 for a length of 0."""
    found: Vector = np.minimum(1, bound / np.where(lengths > 0, lengths, 1))
    return np.where(lengths > 0, found, 1.0)
