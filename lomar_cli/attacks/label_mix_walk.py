"""A walk along the label mix: a flip's direction, as far as an honest mix of labels explains it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lomar_cli.attacks.base import STRENGTH, RoundAttack, finite, option
from lomar_cli.attacks.label_flip import FLIP, FLIP_METAVAR, parse_flip
from lomar_cli.errors import UsageError

if TYPE_CHECKING:
    from lomar_cli.attacks.context import Block, Context, Vector


@dataclass(frozen=True)
class LabelMixWalk(RoundAttack):
    """Send its own honest update plus what fewer source and more target labels would change.

    Known honest updates are regressed on their output biases, which follow the labels that clients
    hold. A step of the bias from the source label to the target then implies a step of all weights,
    and the client takes both: to a defense that allows for label mixes it is one of another mix.
    The step is --strength times the range of (target - source) in the known biases, so that 0.5
    takes a client from the middle to the edge. With several --flip the clients take them in turn;
    without any, each one's labels are drawn at random. Not from a paper.
    """

    knows: ClassVar[bool] = True
    example: ClassVar[str] = "--flip 1:7"
    flip: list[str] | None = option(None, FLIP, metavar=FLIP_METAVAR)  # noqa: RUF009
    strength: float = option(0.5, STRENGTH)

    def __call__(self, context: Context) -> Block:
        finite("--strength", self.strength)
        context.need(3)
        bias = context.known[:, context.output_bias]
        made = context.own.copy()
        for row, (source, target) in enumerate(self._labels(context, bias.shape[1])):
            apart = bias[:, target] - bias[:, source]
            length = self.strength * float(apart.max() - apart.min())
            made[row] += length * direction(context, source, target)
        return made

    def _labels(self, context: Context, count: int) -> list[tuple[int, int]]:
        """Source and target of each controlled client."""
        if not self.flip:
            drawn = [context.rng.permutation(count)[:2].tolist() for _ in range(context.malicious)]
            return [(source, target) for source, target in drawn]
        names = context.labels or [str(label) for label in range(count)]
        flips = [parse_flip(text, names) for text in self.flip]
        for text, flip in zip(self.flip, flips, strict=True):
            if flip.source == flip.target:
                raise UsageError(f"--flip {text}: leads nowhere")
        turns = [flips[row % len(flips)] for row in range(context.malicious)]
        return [(flip.source, flip.target) for flip in turns]


def direction(context: Context, source: int, target: int) -> Vector:
    """What a unit less of ``source`` and more of ``target`` in the bias goes with, shape (d,).

    By least squares of the centred known updates on their centred biases. These sum to zero in a
    softmax layer, so the solution is the shortest.
    """
    import numpy as np

    bias = context.known[:, context.output_bias]
    bias = bias - bias.mean(axis=0)
    step = np.zeros(bias.shape[1])
    step[[source, target]] = -1, 1
    shares = np.linalg.pinv(bias, rcond=1e-10).T @ step
    found: Vector = shares @ (context.known - context.mean)
    return found
