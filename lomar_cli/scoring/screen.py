"""Set aside updates that no method should compute with: NaN, infinity, absurd magnitudes, nothing.

Afterwards the other clients are judged as if these had never come.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.stretches import stretches
from lomar_cli.files.updates import Updates
from lomar_cli.scoring.gather import overflow

# An update this many times larger than the median client's is not an update: squared, it would
# take every digit of a float32 from the others.
ABSURD = 1e6
_BLOCK = 2**26


def magnitudes(updates: Updates) -> NDArray[np.float64]:
    """The largest absolute value in each client's update, shape (n,); NaN or inf if it has one."""
    found = np.zeros(len(updates.clients))
    if updates.magnitudes is not None:
        for known in updates.magnitudes.values():
            found = np.maximum(found, known)
        return found
    for stretch in stretches(updates.tensors, _BLOCK):
        found = np.maximum(found, stretch.magnitude())
    return found


def screen(updates: Updates) -> dict[int, str]:
    """Return the rows to set aside, each with the reason in a person's words."""
    largest = magnitudes(updates)
    finite = np.isfinite(largest)
    aside = {int(i): "holds NaN or infinity" for i in np.flatnonzero(~finite)}
    if finite.any():
        # With most clients at zero the median says nothing; then only what would overflow goes.
        median = float(np.median(largest[finite]))
        limit = ABSURD * median if median > 0 else overflow(updates.dtype)
        for i in np.flatnonzero(finite & (largest > limit)):
            beyond = (
                f"{largest[i] / median:.0e} times the median client's"
                if median > 0
                else f"beyond {limit:.0e}, while most clients send zeros"
            )
            aside[int(i)] = f"its largest value, {largest[i]:.0e}, is {beyond}"
        aside |= _idle(largest, median)
    return dict(sorted(aside.items()))


def _idle(largest: NDArray[np.float64], median: float) -> dict[int, str]:
    """Updates of nothing, or as good as nothing, unless they are more than a third of the round.

    Where many send nothing it is what clients of this round do, and a method may compare it.
    """
    rows = np.flatnonzero(largest * ABSURD < median)
    if 3 * len(rows) > len(largest):
        return {}
    return {
        int(
            i
        ): f"its largest value, {largest[i]:.0e}, is next to nothing beside the median client's"
        if largest[i] > 0
        else "holds nothing but zeros"
        for i in rows
    }
