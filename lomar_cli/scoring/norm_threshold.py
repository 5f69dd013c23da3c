"""Norm thresholding (Sun et al., arXiv:1911.07963): long updates are suspicious.

A boosted update is a long one. The rule of the same name averages the others.
"""

from __future__ import annotations

from dataclasses import dataclass

from lomar_cli.scoring.base import Judgement, RoundView
from lomar_cli.scoring.common import judged, need_clients
from lomar_cli.scoring.quantity import Bound


@dataclass(frozen=True)
class NormThreshold:
    """``bound`` is a length, or a multiple of the clients' median length (2x)."""

    bound: str = "2x"

    def __post_init__(self) -> None:
        Bound.parse(self.bound, "bound")

    def __call__(self, view: RoundView) -> Judgement:
        need_clients(view, "norm-threshold", 1)
        lengths = view.geometry.norms
        bound = Bound.parse(self.bound, "bound").among(lengths)
        return judged(
            lengths,
            bound,
            lambda row: f"its length {lengths[row]:.4g} is beyond the bound",
            "no longer than the bound",
            notes=[f"flagged are updates longer than {bound:.4g} (--set bound={self.bound})"],
        )
