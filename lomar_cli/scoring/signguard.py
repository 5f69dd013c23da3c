"""SignGuard's filters (Xu et al., ICDCS 2022): one on norms and one on signs.

Kept are the clients whose norm lies between 0.1 and 3 times the median norm, and whose shares of
positive, zero and negative parameters (over a random tenth of them) fall into the largest
mean-shift cluster. This is plain SignGuard, without the similarity feature of its variants; its
clipping to the median norm belongs to a rule.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from lomar_cli.errors import UsageError
from lomar_cli.scoring.base import Judgement, RoundView, Vector
from lomar_cli.scoring.common import back, by_name, judged, need_clients, take

_FAR = 1e12
_NARROW = 1e-6


@dataclass(frozen=True)
class SignGuard:
    """``lower`` and ``upper`` are the paper's L and R; ``share`` of the parameters is looked at."""

    lower: float = 0.1
    upper: float = 3.0
    share: float = 0.1
    quantile: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.lower < self.upper:
            raise UsageError(
                f"--set lower={self.lower} upper={self.upper}: need 0 <= lower < upper"
            )
        if not 0 < self.share <= 1:
            raise UsageError(f"--set share={self.share}: must lie in (0, 1]")
        if not 0 < self.quantile <= 1:
            raise UsageError(f"--set quantile={self.quantile}: must lie in (0, 1]")

    def __call__(self, view: RoundView) -> Judgement:
        need_clients(view, "signguard", 3)
        signs = self.signs(view)
        norms = self._by_norm(view.geometry.norms)
        strange, about = self._by_sign(signs, by_name(view))
        return judged(
            np.maximum(norms, strange),
            1.0,
            lambda row: (
                f"its norm is not between {self.lower:g} and {self.upper:g} times the median"
                if norms[row] > 1
                else "its shares of positive and negative parameters are unlike the majority's"
            ),
            "norm and signs like the majority's",
            {"positive": signs[:, 0], "zero": signs[:, 1], "negative": signs[:, 2]},
            [about],
        )

    def signs(self, view: RoundView) -> Vector:
        """The shares (n, 3) of positive, zero and negative among the drawn parameters."""
        size = view.updates.size
        rng = np.random.default_rng(view.seed)
        wanted = max(1, round(self.share * size))
        drawn = take(view.updates, np.sort(rng.choice(size, wanted, replace=False)))
        shares = [(drawn > 0).mean(axis=1), (drawn == 0).mean(axis=1), (drawn < 0).mean(axis=1)]
        return np.stack(shares, axis=1)

    def _by_norm(self, norms: Vector) -> Vector:
        """At most 1 exactly inside the bounds."""
        median = float(np.median(norms))
        if median == 0:
            return np.where(norms > 0, _FAR, 0.0)
        with np.errstate(divide="ignore"):
            low = np.minimum(self.lower * median / norms, _FAR)
        return np.maximum(norms / (self.upper * median), low)

    def _by_sign(self, signs: Vector, order: Any) -> tuple[Vector, str]:
        """At most 1 exactly inside the largest cluster."""
        from sklearn.cluster import MeanShift, estimate_bandwidth

        # Where every point is a bin by itself: it then starts from all points, which is as good.
        warnings.filterwarnings("ignore", "Binning data failed", UserWarning)
        points = signs[order]
        # Where most shares are equal the estimate is 0, or rounding.
        width = max(float(estimate_bandwidth(points, quantile=self.quantile)), _NARROW)
        shift = MeanShift(bandwidth=width, bin_seeding=True, cluster_all=False).fit(points)
        labels = shift.labels_[shift.labels_ >= 0]
        if len(labels) == 0:
            return np.zeros(len(signs)), "the signs form no cluster: they flag nobody"
        trusted = int(np.bincount(labels).argmax())
        away = np.sqrt(((points[:, None] - shift.cluster_centers_) ** 2).sum(axis=2))
        own = away[:, trusted]
        others = np.delete(away, trusted, axis=1).min(axis=1, initial=np.inf)
        # Inside is who has no nearer centre, and lies within the bandwidth of this one.
        nearer = np.divide(own, others, out=np.full(len(own), _FAR), where=others > 0)
        found = np.minimum(np.maximum(own / width, np.where(own == 0, 0, nearer)), _FAR)
        about = (
            f"{int((labels == trusted).sum())} clients in the largest of "
            f"{len(shift.cluster_centers_)} sign clusters"
        )
        return back(found, order), about
