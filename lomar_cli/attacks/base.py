"""What an attack on a round is: a frozen dataclass of options, called with what the attacker knows.

Nothing here or at the top of an attack's module may load numpy: the command line is built from
the fields of these classes, and ``lomar --help`` must start at once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from lomar_cli.errors import UsageError

if TYPE_CHECKING:
    from lomar_cli.attacks.context import Block, Context, Vector

# Options that several attacks have: the same name must mean the same in every command.
BOOST = "Factor that the malicious update is multiplied by."
STRENGTH = "How far to go: see the formula above."
AGAINST = "Search the strength that moves this rule most: see 'lomar list rules'."
JITTER = "Random difference between copies, in standard deviations of the honest updates."
DECORRELATE = (
    "Move each update by a random vector of its own, spread as the honest updates are, this many "
    "times as far."
)
SHARE = "Share of the parameters that are set (at least one)."


def option(default: Any, about: str, flag: str | None = None, metavar: str | None = None) -> Any:
    """A field of an attack that is an option of its command; ``about`` is its help.

    ``flag`` is the option's name where it is not the field's.
    """
    return field(default=default, metadata={"help": about, "flag": flag, "metavar": metavar})


def needed(about: str, metavar: str | None = None) -> Any:
    """A field that has to be given."""
    return field(metadata={"help": about, "metavar": metavar})


@dataclass(frozen=True)
class RoundAttack:
    """The options of an attack on a round.

    ``knows``: it looks at honest updates, so ``--knowledge`` matters. ``takes``: the files that it
    can use, of ``target`` (--target-update) and ``replay`` (--replay). ``example``: what the
    example in its help needs besides the usual.
    """

    knows: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ()
    example: ClassVar[str] = ""
    decorrelate: float = field(default=0.0, kw_only=True, metadata={"help": DECORRELATE})

    def __call__(self, context: Context) -> Block:
        """New updates (malicious, d) for the controlled clients, in their order."""
        raise NotImplementedError

    def crafted(self, context: Context) -> Block:
        """These updates (malicious, d), each moved by a vector of its own if that is asked for.

        The vectors are normal with the covariance of the known honest updates. So attackers that
        would all send the same lie as far apart as honest clients do, in the same directions.
        """
        import numpy as np

        at_least("--decorrelate", self.decorrelate, 0)
        made = self(context)
        if not self.decorrelate:
            return made
        spread = context.known - context.mean
        context.need(2)
        mix = context.rng.standard_normal((len(made), len(spread))) / np.sqrt(len(spread) - 1)
        moved: Block = made + self.decorrelate * (mix @ spread)
        return moved


@dataclass(frozen=True)
class Copies(RoundAttack):
    """An attack whose clients all send the same vector, or with ``jitter`` nearly the same."""

    jitter: float = option(0.0, JITTER)

    def copies(self, context: Context, vector: Vector) -> Block:
        """``vector`` for each controlled client."""
        import numpy as np

        return self.jittered(context, np.repeat(vector[None], context.malicious, axis=0))

    def jittered(self, context: Context, block: Block) -> Block:
        """``block`` (malicious, d) with ``jitter`` put on it."""
        at_least("--jitter", self.jitter, 0)
        if self.jitter:
            noise = context.rng.standard_normal(block.shape)
            block += self.jitter * context.deviation * noise
        return block


def at_least(flag: str, value: float, least: float) -> None:
    """UsageError for a number below ``least`` or not finite."""
    if not least <= value < float("inf"):
        raise UsageError(f"{flag} {value}: must be {least} or more, and finite")


def finite(flag: str, value: float) -> None:
    if not float("-inf") < value < float("inf"):
        raise UsageError(f"{flag} {value}: must be finite")


def share(flag: str, value: float) -> None:
    """UsageError for what is no share of something: in (0, 1]."""
    if not 0 < value <= 1:
        raise UsageError(f"{flag} {value}: must lie in (0, 1]")


def one_of(flag: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise UsageError(f"{flag} {value}: must be one of {', '.join(known)}")
