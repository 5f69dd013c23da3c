"""The paper's lambda partition (sec. 4.1.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import UsageError

Ints = NDArray[np.int64]


RARE = ("refuse", "skip", "repeat")


def draw(
    labels: Ints,
    clients: int,
    samples: int,
    rng: np.random.Generator,
    imbalance: float = 0.0,
    rare: str = "refuse",
) -> list[Ints]:
    """``imbalance * samples`` of each client come from its one major label, the rest from all.

    The rest is drawn evenly over the whole training part, the major label included; major labels
    go round the labels, so that each is the major one of as many clients. ``imbalance`` lies in
    [0, 1); 0 is i.i.d.

    ``rare`` is for labels with fewer samples than that: ``refuse`` raises UsageError, ``skip``
    makes them nobody's major label, ``repeat`` gives the client each of their samples as often as
    it takes, as evenly as can be.
    """
    if rare not in RARE:
        raise UsageError(f"--rare {rare}: must be one of {', '.join(RARE)}")
    if not 0 <= imbalance < 1:
        raise UsageError(f"--imbalance {imbalance}: lambda lies in [0, 1)")
    majority = round(imbalance * samples)
    by_label = [np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)]
    supply = np.array([len(members) for members in by_label])
    open_labels = np.flatnonzero(supply > 0)
    if rare != "repeat":
        enough = np.flatnonzero(supply >= majority)
        if not len(enough) or (rare == "refuse" and len(enough) < len(by_label)):
            raise UsageError(
                f"--imbalance {imbalance}: asks for {majority} samples of one label, the rarest "
                f"has {supply.min()}; lower --imbalance or --samples-per-client, or say with "
                "--rare skip or --rare repeat what to do about rare labels"
            )
        open_labels = enough
    majors = open_labels[rng.permutation(np.arange(clients) % len(open_labels))]
    drawn = []
    for major in majors:
        first = take_evenly(by_label[major], majority, rng)
        # As many as the client owns altogether, so that enough are left without the repeats.
        rest = rng.choice(len(labels), samples, replace=False)
        rest = rest[~np.isin(rest, first)][: samples - majority]
        drawn.append(np.concatenate([first, rest]).astype(np.int64))
    return drawn


def take_evenly(members: Ints, number: int, rng: np.random.Generator) -> Ints:
    """``number`` of the members: each one as often as any other, or once more."""
    whole, left = divmod(number, len(members))
    some = rng.choice(members, left, replace=False)
    taken: Ints = np.concatenate([np.tile(members, whole), some])
    return taken
