"""A false bias: a client's weights are its own, the output layer's bias is made up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lomar_cli.attacks.base import RoundAttack, one_of, option

if TYPE_CHECKING:
    from lomar_cli.attacks.context import Block, Context

OF = ("other", "random")


@dataclass(frozen=True)
class FalseBias(RoundAttack):
    """Send its own weights under another client's output bias, or a random one.

    The bias of an output layer moves with the labels that a client holds, and a defense may read
    them off it. With --bias-of other each client takes the bias of a random known honest one; with
    random it draws normal numbers with the mean and deviation of the known ones, value by value,
    which belong to no mix of labels. Let label flippers train and turn them with --convert-named
    to see whether they hide behind it. Not from a paper.
    """

    knows: ClassVar[bool] = True
    bias_of: str = option("other", "Whose bias: other or random.")

    def __call__(self, context: Context) -> Block:
        one_of("--bias-of", self.bias_of, OF)
        where = context.output_bias
        context.need(2)
        known = context.known[:, where]
        made = context.own.copy()
        if self.bias_of == "other":
            made[:, where] = known[self._others(context)]
        else:
            noise = context.rng.standard_normal((context.malicious, known.shape[1]))
            made[:, where] = known.mean(axis=0) + known.std(axis=0, ddof=1) * noise
        return made

    def _others(self, context: Context) -> list[int]:
        """A random known client for each controlled one, never itself."""
        ids = list(context.known_ids)
        found = []
        for row in range(context.malicious):
            name = context.own_ids[row] if context.own_ids else None
            rows = [other for other in range(len(context.known)) if not ids or ids[other] != name]
            found.append(int(context.rng.choice(rows)))
        return found
