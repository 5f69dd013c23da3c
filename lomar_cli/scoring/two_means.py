"""Two-means: exact in one dimension, for many features at once; from there in a plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

# Two halves of one normal sample have a separation of 2.65, of a uniform one 3.46; two groups
# that a person would call separate have more than about 4.
CLEAR = 4.0
_STEPS = 300


@dataclass(frozen=True)
class Splits:
    """The best split of each of c features into a low and a high group.

    ``high`` (n, c) marks the high group; a feature whose values are all equal has none.
    ``cut`` (c,) lies midway between the groups' nearest members. ``gap`` (c,) is the
    distance of the two centres; ``separation`` (c,) is that over the root mean square distance to
    the own centre, at most 1e9.
    """

    high: NDArray[np.bool_]
    cut: Vector
    gap: Vector
    separation: Vector

    @property
    def minority(self) -> NDArray[np.bool_]:
        """Members (n, c) of the smaller group; of none when both are equally large."""
        many = self.high.sum(axis=0)
        few = len(self.high) - many
        empty = (many == 0) | (many == few)
        chosen: NDArray[np.bool_] = np.where(many < few, self.high, ~self.high) & ~empty
        return chosen


def split(features: Vector) -> Splits:
    """Split every column of (n, c) where the squares within the two groups are least.

    Groups are intervals, so trying every cut of the sorted values finds the optimum.
    """
    count = len(features)
    values = np.sort(features, axis=0)
    middle = (values[(count - 1) // 2] + values[count // 2]) / 2
    ordered = values - middle
    total = ordered.sum(axis=0)
    below = np.cumsum(ordered, axis=0)[:-1]
    low = np.arange(1, count)[:, None]
    # The distance of the two centres at every cut, (total - below) / (n - low) - below / low.
    gaps = (total - below * (count / low)) / (count - low)
    between = gaps * gaps
    between *= low * (count - low) / count
    between[values[1:] <= values[:-1]] = 0
    best = between.argmax(axis=0)
    here = np.arange(features.shape[1])
    explained = between[best, here]
    parted = explained > 0
    offsets = ordered - total / count
    within = np.einsum("ij,ij->j", offsets, offsets) - explained
    spread = np.sqrt(np.maximum(within, 0) / count)
    gap = np.where(parted, gaps[best, here], 0.0)
    separation = np.zeros_like(gap)
    np.divide(gap, np.maximum(spread, 1e-9 * gap), out=separation, where=parted)
    return Splits(
        high=(features > values[best, here]) & parted,
        cut=(ordered[best, here] + ordered[best + 1, here]) / 2 + middle,
        gap=gap,
        separation=separation,
    )


@dataclass(frozen=True)
class Pair:
    """Two groups of points: ``member`` (n,) marks the smaller one; ``place`` (n,) is 0 at the
    larger group's centre, 1 at the smaller one's, and above 0.5 exactly for the smaller one."""

    member: NDArray[np.bool_]
    place: Vector
    separation: float


def pair(points: Vector) -> Pair | None:
    """Two-means of points (n, p): Lloyd's steps from the best split of every axis.

    None when the points cannot be told apart. Of equally large groups the one further from the
    origin (the points' mean) counts as the smaller.
    """
    starts = split(points).high
    best: tuple[float, Vector, NDArray[np.bool_]] | None = None
    for start in starts.T:
        found = _lloyd(points, start)
        if found is not None and (best is None or found[0] < best[0] * (1 - 1e-9)):
            best = found
    if best is None:
        return None
    _, centres, high = best
    sizes = (int((~high).sum()), int(high.sum()))
    lengths = (centres**2).sum(axis=1)
    small = int(sizes[1] < sizes[0] or (sizes[1] == sizes[0] and lengths[1] > lengths[0]))
    axis = centres[small] - centres[1 - small]
    length = float(axis @ axis)
    place = (points - centres[1 - small]) @ axis / length
    own = np.where(place > 0.5, 1.0, 0.0)
    spread = float(np.sqrt(((place - own) ** 2).mean()))
    return Pair(place > 0.5, place, 1 / max(spread, 1e-9))


def _lloyd(
    points: Vector, high: NDArray[np.bool_]
) -> tuple[float, Vector, NDArray[np.bool_]] | None:
    if not high.any() or high.all():
        return None
    for _ in range(_STEPS):
        centres = np.stack([points[~high].mean(axis=0), points[high].mean(axis=0)])
        squares = ((points[:, None, :] - centres) ** 2).sum(axis=2)
        nearer = squares[:, 1] < squares[:, 0]
        if (nearer == high).all() or not nearer.any() or nearer.all():
            break
        high = nearer
    return float(squares.min(axis=1).sum()), centres, high
