"""Pixel-pattern backdoor (Gu et al. 2017, "BadNets", arXiv 1708.06733).

Some samples of a malicious client get a small bright square in a corner and the label that the
attacker wants. A model that learns it answers so whenever it sees the square, and is as good as
before where it does not. In the distributed form (DBA; Xie et al. 2020, ICLR) the square is cut
into parts, each attacker trains with one of them, and who attacks the model later puts on all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lomar_cli.attacks.base import needed, option, share
from lomar_cli.attacks.on_split import (
    POISON_FRACTION,
    Holdings,
    Pattern,
    Poisoning,
    SplitAttack,
    Tampered,
)
from lomar_cli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from lomar_cli.attacks.on_split import Ints


@dataclass(frozen=True)
class Backdoor(SplitAttack):
    """Stamp a bright square on samples and relabel them, in clients added or converted.

    The square sits in the lower right corner. 'lomar train' puts it on; 'lomar evaluate --split'
    with the new split reports the attack success rate on test samples that carry all of it.
    """

    verb: ClassVar[str] = "stamp"
    harmless: ClassVar[str] = "hold samples of the target only and stamp nothing"
    example: ClassVar[str] = "--target 7"
    target: str = needed("The label that the pattern leads to, by name or number.")
    poison_fraction: float = option(0.5, POISON_FRACTION)
    parts: int = option(
        1,
        "Cut the pattern into parts, one for each attacker in turn: the distributed backdoor, DBA.",
    )
    size: int | None = option(
        None,
        "Pixels a side of the square (default: a seventh of the picture, at least 2).",
        "--pattern-size",
    )
    intensity: float = option(1.0, "Its brightness: 0 is black, 1 white.")

    def __call__(self, held: Holdings) -> Poisoning:
        from math import isqrt

        from lomar_cli.files.split import label_index

        target = label_index(held.labels, self.target, f"--target {self.target}")
        if len(held.shape) != 3:
            raise UsageError(
                f"the samples of {held.dataset} are no pictures, so there is nowhere to put a "
                "square"
            )
        pattern = square(held.shape, self.size, self.intensity, self.parts)
        clients, guilty = [], 0
        for own in held.own:
            places = choose(held.truth, own, target, self.poison_fraction, held.rng)
            # A part for each guilty one in turn; the clients are in random order already.
            part = guilty % self.parts if self.parts > 1 else -1
            clients.append(Tampered(own, places, target, part))
            guilty += len(places) > 0
        said = {
            "target": held.labels[target],
            "poison_fraction": self.poison_fraction,
            "parts": self.parts,
            "pattern_size": isqrt(len(pattern.feature) // held.shape[0]),
            "intensity": self.intensity,
        }
        return Poisoning(clients, said, pattern, target)


def square(
    shape: Sequence[int], size: int | None = None, intensity: float = 1.0, parts: int = 1
) -> Pattern:
    """A square of ``size`` pixels a side in the lower right corner of a (channels, height, width).

    ``size`` is a seventh of the picture's shorter side if not given, at least 2: 4 for MNIST. All
    channels get the value ``intensity``, 1 being white. ``parts`` are stretches of the square's
    pixels, row by row, that are alike in length to one pixel.
    """
    import numpy as np

    channels, height, width = shape
    side = max(2, min(height, width) // 7) if size is None else size
    if not 1 <= side <= min(height, width):
        raise UsageError(
            f"--pattern-size {side}: must lie between 1 and {min(height, width)} pixels"
        )
    if not 1 <= parts <= side * side:
        raise UsageError(f"--parts {parts}: the square has {side * side} pixels to share out")
    if not np.isfinite(intensity):
        raise UsageError(f"--intensity {intensity}: must be a number")
    rows = np.arange(height - side, height)
    pixels = (rows[:, None] * width + np.arange(width - side, width)).reshape(-1)
    part = np.concatenate(
        [np.full(len(own), i) for i, own in enumerate(np.array_split(pixels, parts))]
    )
    feature = (np.arange(channels)[:, None] * height * width + pixels).reshape(-1)
    return Pattern(
        feature.astype(np.int64),
        np.full(len(feature), float(intensity)),
        np.tile(part, channels).astype(np.int64),
    )


def choose(labels: Ints, own: Ints, target: int, fraction: float, rng: np.random.Generator) -> Ints:
    """Places among a client's samples ``own`` to stamp: a share of those of other labels.

    At least one, if there is any; in rising order.
    """
    import numpy as np

    share("--poison-fraction", fraction)
    others = np.flatnonzero(labels[own] != target)
    wanted = min(len(others), max(1, round(fraction * len(others))))
    return np.sort(rng.permutation(others)[:wanted]).astype(np.int64)
