"""Set aside what is no update: NaN, infinity, absurd magnitudes, nothing, one number everywhere.

And who says that it trained on nothing, or on more samples than there are.

Afterwards the other clients are judged as if these had never come.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.stretches import stretches
from lomar_cli.files.updates import Updates
from lomar_cli.scoring.gather import overflow

# An update this many times larger than the median client's is not an update: squared, it would
# take every digit of a float32 from the others.
ABSURD = 1e6
# An update of so many numbers or more that are all the same to a thousandth was not trained. Of
# fewer, an honest one may be: signs alone agree by chance once in 2^15 updates of 16 numbers.
LEAST = 16
ALIKE = 1e-3
# No client has trained on so many samples in one round.
MOST_SAMPLES = 10**12
_BLOCK = 2**26
# Numbers of each tensor that are looked at before all are.
_FIRST = 64


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


def screen(
    updates: Updates, buffers: bool = False, largest: NDArray[np.float64] | None = None
) -> dict[int, str]:
    """Return the rows to set aside, each with the reason in a person's words.

    ``buffers`` says that the tensors are such: counters are the same number everywhere by right.
    ``largest`` are the updates' ``magnitudes`` where these are known.
    """
    largest = magnitudes(updates) if largest is None else largest
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
        if not buffers:
            aside = _uniform(updates, largest) | aside
    return dict(sorted(aside.items()))


def claims_aside(num_examples: NDArray[np.int64]) -> dict[int, str]:
    """Rows of clients that say they have no samples, or more than anybody has, with the reason.

    Unless those who say the same are more than a third of the round: it is how this round counts.
    """
    none, many = np.flatnonzero(num_examples <= 0), np.flatnonzero(num_examples > MOST_SAMPLES)
    words = {int(row): "says that it has no samples" for row in none}
    if 3 * len(none) > len(num_examples):
        words = {}
    if 3 * len(many) <= len(num_examples):
        words |= {int(row): f"says that it has {num_examples[row]:.0e} samples" for row in many}
    return words


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


def _uniform(updates: Updates, largest: NDArray[np.float64]) -> dict[int, str]:
    """Updates of one number everywhere, unless they are more than a third of the round.

    Not those of a round with fewer than ``LEAST`` numbers a client.
    """
    if updates.size < LEAST:
        return {}
    low, high = np.full(len(largest), np.inf), np.full(len(largest), -np.inf)
    for tensor in updates.tensors.values():
        # Sliced in every axis, so that little is read of a tensor that lies in a file.
        axes = len(tensor.shape) - 1
        key = (*(slice(0, 1),) * (axes - 1), slice(0, _FIRST))[:axes]
        few = np.asarray(tensor[(slice(None), *key)], np.float64).reshape(len(largest), -1)
        low, high = np.minimum(low, few.min(axis=1)), np.maximum(high, few.max(axis=1))
    rows = [int(row) for row in np.flatnonzero(_alike(low, high, largest))]
    rows = [row for row in rows if _all_alike(updates, row, float(largest[row]))]
    if 3 * len(rows) > len(largest):
        return {}
    return {
        row: f"holds one number everywhere, {math.copysign(largest[row], low[row]):.0e}"
        for row in rows
    }


def _alike(low: Any, high: Any, largest: Any) -> Any:
    """True where all from ``low`` to ``high`` have one sign and are as large as ``largest``."""
    least = (1 - ALIKE) * largest
    return np.isfinite(largest) & (largest > 0) & ((low >= least) | (high <= -least))


def _all_alike(updates: Updates, row: int, largest: float) -> bool:
    """Whether all numbers of one client are the same to a thousandth."""
    low, high = np.inf, -np.inf
    for tensor in updates.tensors.values():
        shape = tensor.shape[1:]
        step = max(1, _BLOCK // (8 * math.prod(shape[1:])))
        for start in range(0, math.prod(shape[:1]), step):
            key = (row, slice(start, start + step))[: len(tensor.shape)]
            part = np.asarray(tensor[key], np.float64)
            low, high = min(low, part.min()), max(high, part.max())
            if not _alike(low, high, largest):
                return False
    return True
