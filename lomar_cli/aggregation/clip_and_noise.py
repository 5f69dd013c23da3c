"""Clip every update and add a little noise: weak differential privacy (Sun et al., 2019).

``mean_i(u_i min(1, S / |u_i|)) + N(0, sigma^2)``. With S the median norm and sigma a thousandth
of it, this is also the clipping and the noise of FLAME (Nguyen et al. 2022, Algorithm 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lomar_cli.aggregation.base import Aggregate, Vector, combine
from lomar_cli.errors import UsageError
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.quantity import relative


@dataclass(frozen=True)
class ClipAndNoise:
    """``clip`` is 3.0, or 1x the median norm; ``noise`` is 0.025, or 0.001x the clip bound."""

    clip: str = "1x"
    noise: str = "0.001x"

    def __post_init__(self) -> None:
        _times("clip", self.clip, 1)
        _times("noise", self.noise, 1)

    def __call__(self, view: RoundView, weights: Vector) -> Aggregate:
        norms = view.geometry.norms
        bound = _times("clip", self.clip, float(np.median(norms)))
        sigma = _times("noise", self.noise, bound)
        clipped = norms > bound
        factors = np.where(clipped, bound / np.where(clipped, norms, 1), 1.0)
        update = combine(view.updates, weights / weights.sum() * factors)
        seeds = np.random.SeedSequence(view.seed).spawn(len(update))
        noisy = {
            name: values + sigma * np.random.default_rng(seed).standard_normal(values.shape)
            for (name, values), seed in zip(update.items(), seeds, strict=True)
        }
        note = (
            f"{int(clipped.sum())} of {len(norms)} updates clipped to the norm {bound:.4g}; noise "
            f"of standard deviation {sigma:.4g} with seed {view.seed}"
        )
        return Aggregate(noisy, weights > 0, (note,))


def _times(name: str, text: str, unit: float) -> float:
    value, times = relative(text, "x")
    if not (value >= 0 and math.isfinite(value)):
        raise UsageError(f"--set {name}={text}: must be a number (0.5) or a multiple (0.5x)")
    return value * unit if times else value
