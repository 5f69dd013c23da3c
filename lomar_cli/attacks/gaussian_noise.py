"""Gaussian noise (Blanchard et al., NIPS 2017: "Gaussian")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lomar_cli.attacks.base import RoundAttack, at_least, one_of, option

if TYPE_CHECKING:
    from lomar_cli.attacks.context import Block, Context

AROUND = ("zero", "own", "mean")


@dataclass(frozen=True)
class GaussianNoise(RoundAttack):
    """Send independent normal noise (Blanchard et al. 2017: mean zero, a large deviation).

    The deviation is relative to the root mean square of all values of the known honest updates,
    so that the same number means the same on every round; --absolute takes it as it is.
    """

    knows: ClassVar[bool] = True
    sigma: float = option(1.0, "Standard deviation of the noise.")
    absolute: bool = option(False, "Take --sigma as it is, not relative to the honest values.")
    around: str = option("zero", "What the noise is added to: zero, own or mean.")

    def __call__(self, context: Context) -> Block:
        import numpy as np

        at_least("--sigma", self.sigma, 0)
        one_of("--around", self.around, AROUND)
        unit = 1.0 if self.absolute else float(np.sqrt(np.mean(context.known**2)))
        noise = self.sigma * unit * context.rng.standard_normal(context.own.shape)
        if self.around == "own":
            noise += context.own
        elif self.around == "mean":
            noise += context.mean
        return noise
