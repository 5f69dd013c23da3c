"""Medians and nearest values by one selection at a time.

NumPy selects one place of an array several times as quickly as two at once, and ``np.median`` asks
for up to three.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Vector = NDArray[np.float64]


# Of so many values a sample's middle shows which few are worth ordering.
_LARGE = 2**16
_SAMPLE = 2**12
# The ranks in the sample that the median lies between, but for values in a wicked order.
_LOW, _HIGH = round(0.47 * _SAMPLE), round(0.53 * _SAMPLE)


def median(values: Floats) -> float:
    """The median of all finite ``values``, of any shape: what ``np.median`` says of float64."""
    flat = values.reshape(-1)
    if len(flat) >= _LARGE:
        low, high = np.sort(flat[:: len(flat) // _SAMPLE][:_SAMPLE])[[_LOW, _HIGH]]
        below = int(np.count_nonzero(flat < low))
        some = np.sort(flat[(flat >= low) & (flat <= high)])
        lower, upper = (len(flat) - 1) // 2 - below, len(flat) // 2 - below
        if lower >= 0 and upper < len(some):
            return (float(some[lower]) + float(some[upper])) / 2
    return float(row_medians(flat.reshape(1, -1).copy())[0])


def row_medians(rows: Floats) -> Vector:
    """The medians (n,) of the rows of a finite ``rows`` (n, c), left in another order."""
    half = rows.shape[1] // 2
    rows.partition(half, axis=1)
    upper = rows[:, half].astype(np.float64)
    if rows.shape[1] % 2:
        return upper
    middle: Vector = (rows[:, :half].max(axis=1) + upper) / 2
    return middle


def select_in_rows(rows: Floats, places: Collection[int]) -> None:
    """Order every row of ``rows`` (n, c) as ``np.partition`` at ``places`` would, in place."""
    end = rows.shape[1]
    for place in sorted(set(places), reverse=True):
        rows[:, :end].partition(place, axis=1)
        end = place
