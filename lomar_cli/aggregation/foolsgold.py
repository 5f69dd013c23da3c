"""FoolsGold as a rule (Fung et al., RAID 2020, Algorithm 1): its weights times the clients' own.

The authors add weighted gradients up; updates of whole local trainings are averaged here instead,
``sum_i alpha_i l_i u_i / sum_i alpha_i l_i``, as a sum of n of them would be n steps at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from lomar_cli.aggregation.base import Aggregate, Vector, checked, combine
from lomar_cli.errors import LomarError
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.foolsgold import FoolsGold as Method
from lomar_cli.scoring.foolsgold import foolsgold_weights, pardoned


@dataclass(frozen=True)
class FoolsGold:
    """Options as of the method ``foolsgold``."""

    confidence: float = 1.0
    centre: float = 0.5
    output_only: bool = False
    memory: bool = False

    def __post_init__(self) -> None:
        self._method()

    def __call__(self, view: RoundView, weights: Vector) -> Aggregate:
        view = checked(view)
        cosines, notes = self._method().cosines(view)
        alpha = foolsgold_weights(pardoned(cosines), self.confidence, self.centre) * weights
        if not alpha.sum() > 0:
            raise LomarError(
                "--rule foolsgold: all updates point the same way, so that every client is taken "
                "for a sybil and none is left to aggregate"
            )
        return Aggregate(combine(view.updates, alpha / alpha.sum()), alpha > 0, tuple(notes))

    def _method(self) -> Method:
        return Method(self.confidence, self.centre, self.output_only, self.memory)
