"""Zeno (Xie, Koyejo and Gupta, ICML 2019): does a client's step lower the loss on held-out data?

The stochastic descendant score of a gradient u is ``f(x) - f(x - gamma u) - rho |u|^2``, with the
mean loss f on a few samples that the server holds. An update is a step already, so its score is
``f(x) - f(x + gamma u) - rho |u|^2`` with gamma 1. The rule Zeno_b averages all but the b lowest
scores; these b are flagged. (The authors' code takes the mean of the squares in place of their
sum, which divides rho by the number of parameters.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lomar_cli.errors import UsageError
from lomar_cli.scoring.base import Judgement, RoundView, Vector
from lomar_cli.scoring.common import judged, need_clients, told, top_limit
from lomar_cli.scoring.options import assumed

# A loss that overflows is as bad as one can be.
_WORST = -1e300


@dataclass(frozen=True)
class Zeno:
    """``assume_malicious`` is b: 5 or 10% (default: a fifth).

    ``gamma`` scales the step. ``rho`` is the price of its squared length: 0.0005, the ratio of
    1/200 to a learning rate of 0.1 that the authors use.
    """

    assume_malicious: str | None = None
    gamma: float = 1.0
    rho: float = 0.0005

    def __post_init__(self) -> None:
        if not (self.gamma > 0 and math.isfinite(self.gamma)):
            raise UsageError(f"--set gamma={self.gamma}: must be above 0")
        if not (self.rho >= 0 and math.isfinite(self.rho)):
            raise UsageError(f"--set rho={self.rho}: must be 0 or more")

    def __call__(self, view: RoundView) -> Judgement:
        count = need_clients(view, "zeno", 1)
        malicious = min(assumed(self.assume_malicious, count), count - 1)
        scores, descent = self.scores(view, "--method zeno")
        return judged(
            -scores,
            top_limit(-scores, malicious),
            lambda row: (
                "its step lowers the loss on the held-out data less than most others'"
                if scores[row] > 0
                else "its step does not lower the loss on the held-out data by what it costs"
            ),
            "its step lowers the loss on the held-out data as others' do",
            {"score": scores, "descent": descent},
            [
                f"the {malicious} lowest scores of {count} are flagged, malicious or not "
                f"(assumed malicious: {told(self.assume_malicious)}); "
                f"gamma = {self.gamma:g}, rho = {self.rho:g}"
            ],
        )

    def scores(self, view: RoundView, who: str) -> tuple[Vector, Vector]:
        """The scores (n,) and the descents ``f(x) - f(x + gamma u)`` (n,), client by client.

        ``who`` is the option that asks. UsageError without a held-out loss.
        """
        loss = view.loss
        if loss is None:
            raise UsageError(
                f"{who}: needs data of your own: --holdout SPLIT, a split file whose samples no "
                "client holds, and --model FILE unless the round starts from the all-zero model"
            )
        before = loss({})
        found = np.empty((2, len(view.updates.clients)))
        for row in range(found.shape[1]):
            step = {
                name: np.asarray(tensor[row], np.float64)
                for name, tensor in view.updates.tensors.items()
            }
            square = sum(float((part**2).sum()) for part in step.values())
            after = loss({name: self.gamma * part for name, part in step.items()})
            found[1, row] = before - after if math.isfinite(after) else _WORST
            found[0, row] = max(found[1, row] - self.rho * square, _WORST)
        return found[0], found[1]
