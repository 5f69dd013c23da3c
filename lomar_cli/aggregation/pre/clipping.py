"""Norm clipping before the rule (static clipping; Sun et al., arXiv:1911.07963)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lomar_cli.aggregation.base import Vector, checked
from lomar_cli.aggregation.bound import Bounded, shrink
from lomar_cli.aggregation.pre import Mix
from lomar_cli.scoring.base import RoundView


@dataclass(frozen=True)
class Clipping(Bounded):
    """No update is longer than ``bound`` afterwards."""

    OPTION: ClassVar[str] = "clipping.bound"

    def __call__(self, view: RoundView, weights: Vector) -> Mix:
        own, bound = self.measure(checked(view).updates)
        return Mix(np.diag(shrink(own, bound)), weights)
