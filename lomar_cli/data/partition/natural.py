"""The data set's own grouping: a client a group, such as a writer, a hospital or a device."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import UsageError

Ints = NDArray[np.int64]


def draw(
    labels: Ints,
    clients: int | None,
    samples: int | None,
    rng: np.random.Generator,
    groups: Ints,
) -> list[Ints]:
    """A client a group that has samples; ``clients`` of them, drawn evenly, when it is given.

    ``groups`` (samples,) says which group each sample belongs to. A client holds all samples of
    its group, or ``samples`` of them, drawn evenly, when these are fewer.
    """
    present = np.unique(groups)
    if clients is not None:
        if clients > len(present):
            raise UsageError(f"--clients {clients}: the data set has only {len(present)} groups")
        present = rng.permutation(present)[:clients]
    drawn = []
    for group in present:
        own = np.flatnonzero(groups == group)
        if samples is not None and samples < len(own):
            own = rng.choice(own, samples, replace=False)
        drawn.append(own.astype(np.int64))
    return drawn
