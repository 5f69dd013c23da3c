"""A little is enough (Baruch et al., NeurIPS 2019): the mean plus z deviations."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, ClassVar

from lomar_cli.attacks.base import AGAINST, Copies, finite, option
from lomar_cli.attacks.line_search import worst
from lomar_cli.errors import UsageError

if TYPE_CHECKING:
    from lomar_cli.attacks.context import Block, Context


@dataclass(frozen=True)
class Alie(Copies):
    """Send mean + z deviation of the known honest updates (Baruch et al. 2019, ALIE).

    z is the greatest with which a majority still sides with the attackers: the normal quantile of
    (n - m - s) / (n - m), with s = floor(n / 2 + 1) - m honest clients to win over. With --against
    it is searched for (as ByzFL's optimal ALIE) against a rule that is told the number of
    attackers. The authors let the attacker know its own clients only: --knowledge own.
    """

    knows: ClassVar[bool] = True
    z: float | None = option(None, "Deviations from the mean (default: by n and m).")
    against: str | None = option(None, AGAINST)

    def __call__(self, context: Context) -> Block:
        mean, deviation = context.mean, context.deviation
        if self.against is not None:
            if self.z is not None:
                raise UsageError("give either --z or --against")
            rule = self.against
            z = worst(lambda tried: context.damage(rule, mean + tried * deviation))
        else:
            z = z_max(context.clients, context.malicious) if self.z is None else self.z
        finite("--z", z)
        return self.copies(context, mean + z * deviation)


def z_max(clients: int, malicious: int) -> float:
    """The authors' z_max from s supporters. Below 0 for few attackers, as it is printed."""
    honest = clients - malicious
    supporters = clients // 2 + 1 - malicious
    if honest <= 0 or not 0 < honest - supporters < honest:
        raise UsageError(
            f"--z: the formula gives none for {malicious} attackers of {clients} clients; give one"
        )
    return NormalDist().inv_cdf((honest - supporters) / honest)
