"""Isolation forest (Liu, Ting and Zhou, ICDM 2008, eq. 2): easily isolated updates are suspicious.

A plain outlier baseline: scikit-learn's own estimator on the parameters themselves, or on a
random choice of them where all would not fit the memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import UsageError
from lomar_cli.scoring.base import Judgement, RoundView, Vector
from lomar_cli.scoring.common import back, by_name, judged, need_clients, taken
from lomar_cli.scoring.screen import magnitudes

# The score of an update that is isolated as quickly as the average one.
_EVEN = 0.5


@dataclass(frozen=True)
class IsolationForest:
    """``trees`` is the paper's t, ``samples`` its psi (at most all clients)."""

    trees: int = 100
    samples: int = 256

    def __post_init__(self) -> None:
        if self.trees < 1:
            raise UsageError(f"--set trees={self.trees}: must be 1 or more")
        if self.samples < 2:
            raise UsageError(f"--set samples={self.samples}: must be 2 or more")

    def __call__(self, view: RoundView) -> Judgement:
        import sklearn.ensemble

        count = need_clients(view, "isolation-forest", 2)
        order = by_name(view)
        size = view.updates.size
        # The forest works in float32, on one copy of all.
        fits = max(1, view.geometry.memory // (2 * 4 * count))
        places = np.arange(size)
        notes = []
        if fits < size:
            rng = np.random.default_rng(view.seed)
            places = np.sort(rng.choice(size, fits, replace=False))
            notes.append(f"{fits} of {size} parameters, drawn at random, fit the memory")
        values = _float32(view, places)[order]
        if not np.ptp(values, axis=0).any():
            notes.append("all updates are equal: there is nothing to isolate")
            return judged(np.full(count, _EVEN), _EVEN, str, "the same as everybody", notes=notes)
        forest = sklearn.ensemble.IsolationForest(
            n_estimators=self.trees,
            max_samples=min(self.samples, count),
            random_state=view.seed % 2**32,
        )
        forest.fit(values)
        scores: Vector = back(-forest.score_samples(values), order)
        return judged(
            scores,
            _EVEN,
            lambda row: "random cuts isolate it sooner than the average update",
            "random cuts isolate it no sooner than the average update",
            notes=[f"{self.trees} trees; flagged above {_EVEN}, the paper's middle", *notes],
        )


def _float32(view: RoundView, places: NDArray[np.intp]) -> NDArray[np.float32]:
    """These parameters of all clients, times a power of two: it changes nothing for trees, but
    keeps tiny updates apart in float32."""
    exponent = -int(np.frexp(magnitudes(view.updates).max())[1])
    values = np.empty((len(view.updates.clients), len(places)), np.float32)
    offset = 0
    for block in taken(view.updates, places):
        values[:, offset : offset + block.shape[1]] = np.ldexp(block, exponent)
        offset += block.shape[1]
    return values
