"""Label flipping (sec. 4.1.4; Biggio et al. 2012): source samples are relabelled as the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lomar_cli.attacks.base import needed, one_of, option, share
from lomar_cli.attacks.on_split import POISON_FRACTION, Holdings, Poisoning, SplitAttack, Tampered
from lomar_cli.errors import UsageError

if TYPE_CHECKING:
    from lomar_cli.attacks.on_split import Ints

STYLES = ("pure", "mixed")
FLIP = "Source label passed off as target label, by name or number. Repeatable."
FLIP_METAVAR = "SOURCE:TARGET"


@dataclass(frozen=True)
class Flip:
    """Samples of label ``source`` are passed off as ``target`` (label numbers)."""

    source: int
    target: int


@dataclass(frozen=True)
class LabelFlip(SplitAttack):
    """Relabel samples of one label as another, in clients added or converted.

    Nothing in the files made from the new split tells these clients apart. A pure client owns a
    share --poison-fraction of source samples, all flipped; a mixed one keeps its own samples and
    flips that share of those of the source label. With several --flip the clients take them in
    turn, one each, as in the paper's Table 4.
    """

    verb: ClassVar[str] = "flip"
    harmless: ClassVar[str] = "hold no source samples and flip nothing"
    example: ClassVar[str] = "--flip 1:7"
    flip: list[str] = needed(FLIP, metavar=FLIP_METAVAR)  # noqa: RUF009 (it makes a field)
    style: str = option(
        "pure",
        "pure: owns flipped source samples only; mixed: an ordinary client that flips its "
        "source samples.",
    )
    poison_fraction: float = option(1.0, POISON_FRACTION)

    def __post_init__(self) -> None:
        one_of("--style", self.style, STYLES)
        share("--poison-fraction", self.poison_fraction)

    def __call__(self, held: Holdings) -> Poisoning:
        import numpy as np

        flips = [parse_flip(text, held.labels) for text in self.flip]
        if not flips:
            raise UsageError("--flip SOURCE:TARGET is needed, for example --flip 1:7")
        named = [f"{held.labels[one.source]}:{held.labels[one.target]}" for one in flips]
        for one, name in zip(flips, named, strict=True):
            if one.source == one.target:
                raise UsageError(f"--flip {name}: flips nothing")
        # In random order, so that neither a client's place nor its major label picks its flip.
        turns = held.rng.permutation(len(held.own)) % np.int64(len(flips))
        make = _pure if self.style == "pure" else _mixed
        return Poisoning(
            [
                make(held, own, flips[turn], self.poison_fraction)
                for own, turn in zip(held.own, turns, strict=True)
            ],
            {"flip": named, "style": self.style, "poison_fraction": self.poison_fraction},
        )


def parse_flip(text: str, labels: Sequence[str]) -> Flip:
    """Read ``SOURCE:TARGET``, each a label by name or by number."""
    from lomar_cli.files.split import label_index

    parts = text.split(":")
    if len(parts) != 2 or not all(parts):
        raise UsageError(f"--flip {text}: must be SOURCE:TARGET, for example 1:7")
    source, target = (label_index(labels, part, f"--flip {text}") for part in parts)
    return Flip(source, target)


def _pure(held: Holdings, own: Ints, flip: Flip, fraction: float) -> Tampered:
    """A share of the client's samples is replaced by samples of the source label."""
    import numpy as np

    from lomar_cli.data.partition.paper import take_evenly

    wanted = max(1, round(fraction * len(own)))
    supply = np.flatnonzero(held.truth == flip.source)
    if not len(supply) or (wanted > len(supply) and not held.repeat):
        raise UsageError(
            f"--malicious: a pure flipper needs {wanted} different samples of label "
            f"'{held.labels[flip.source]}', the data holds {len(supply)}; use fewer samples a "
            "client, a lower --poison-fraction, --style mixed, or a split with --rare repeat"
        )
    source = take_evenly(supply, wanted, held.rng)
    taken = np.isin(own, source)
    kept = held.rng.permutation(own[~taken])[: len(own) - wanted]
    # A client that repeats samples may own too few others; then some of the taken stay beside.
    short = len(own) - wanted - len(kept)
    if short:
        kept = np.concatenate([kept, held.rng.permutation(own[taken])[:short]])
    samples = np.concatenate([source, kept]).astype(np.int64)
    order = held.rng.permutation(len(samples))
    return Tampered(samples[order], np.flatnonzero(order < wanted), flip.target)


def _mixed(held: Holdings, own: Ints, flip: Flip, fraction: float) -> Tampered:
    """The client keeps its samples and flips a share of those of the source label."""
    import numpy as np

    source = np.flatnonzero(held.truth[own] == flip.source)
    chosen = held.rng.permutation(source)[: round(fraction * len(source))]
    return Tampered(own, np.sort(chosen), flip.target)
