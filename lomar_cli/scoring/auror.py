"""Auror (Shen, Tople and Saxena, ACSAC 2016): two-means on every feature by itself.

A feature whose two centres lie far apart is indicative; the smaller group on it is suspicious,
and a client that is suspicious on more than half of the indicative features is malicious.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lomar_cli.errors import UsageError
from lomar_cli.scoring.base import Judgement, RoundView
from lomar_cli.scoring.common import columns, judged, need_clients, output_only
from lomar_cli.scoring.two_means import split

_CELLS = 2**20


@dataclass(frozen=True)
class Auror:
    """``share`` is the paper's tau. ``features`` are ``"output"`` (the output layer) or ``"all"``.

    The paper's alpha is an absolute distance of the two centres, learnt from what is usual. There
    are no rounds to learn from here, so ``alpha`` is in units of the median distance over all
    features of this round: most of them are usual.
    """

    alpha: float = 3.0
    share: float = 0.5
    features: str = "output"

    def __post_init__(self) -> None:
        if not self.alpha >= 0:
            raise UsageError(f"--set alpha={self.alpha}: must be 0 or more")
        if not 0 <= self.share < 1:
            raise UsageError(f"--set share={self.share}: must lie in [0, 1)")
        if self.features not in ("output", "all"):
            raise UsageError(f"--set features={self.features}: must be output or all")

    def __call__(self, view: RoundView) -> Judgement:
        count = need_clients(view, "auror", 2)
        looked_at = output_only(view.updates) if self.features == "output" else view.updates
        gaps, packed = [], []
        for block in columns(looked_at, _CELLS):
            found = split(block)
            gaps.append(found.gap)
            # A bit a client and feature, until it is known which features are indicative.
            packed.append(np.packbits(found.minority, axis=0))
        gap, smaller = np.concatenate(gaps), np.concatenate(packed, axis=1)
        usual = float(np.median(gap[gap > 0])) if (gap > 0).any() else 0.0
        clear = (gap > 0) & (gap >= self.alpha * usual)
        marks = np.unpackbits(smaller[:, clear], axis=0, count=count).sum(axis=1, dtype=float)
        indicative = int(clear.sum())
        suspicion = marks / max(1, indicative)
        where = "output layer's" if looked_at is not view.updates else "update's"
        return judged(
            suspicion,
            self.share,
            lambda row: f"in the smaller group on {suspicion[row]:.0%} of {indicative} features",
            f"in the smaller group on at most {self.share:.0%} of the indicative features",
            {"marks": marks},
            [
                f"{indicative} of the {where} {looked_at.size} parameters are indicative: their "
                f"two centres are {self.alpha:g} times as far apart as the median parameter's"
            ],
        )
