"""How each client lies among the others, whatever method judges: what ``lomar explain`` tells.

Nothing here is a verdict. Every number is set against the same number of the other clients of the
round, as a robust z-score (median and median absolute deviation over clients, Iglewicz and Hoaglin
1993): one that the client shares with most others explains nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.updates import Updates
from lomar_cli.scoring.base import RoundView, Vector
from lomar_cli.scoring.common import columns
from lomar_cli.scoring.geometry import Floats
from lomar_cli.scoring.nearest import Neighbourhoods

# The nearest few: a group of sybils has at least as many.
FEW = 3
# A robust z-score beyond this stands out.
STANDS_OUT = 3.0
_MAD_SCALE = 1.4826
# The same for the mean absolute deviation, where more than half are equal.
_MEAN_SCALE = 1.2533


@dataclass(frozen=True)
class Profile:
    """Robust z-scores of n clients and R label blocks, and what they come from.

    ``near`` (n,) is of the mean distance to the ``FEW`` nearest others, ``far`` (n,) of that to the
    nearer half of all, both of its logarithm; below 0 a client lies in a tighter place than others
    do, above 0 in a thinner one. ``near_by_label`` and ``far_by_label`` (n, R) are the same within
    one label's parameters, with the neighbours of the whole update. ``unit`` is the median of the
    distances that ``far`` comes from. ``lengths`` (n,) are those of the updates, ``cosines`` (n,)
    theirs with the coordinate-wise median update, ``layers`` (n, parameters) the lengths of each
    parameter by itself, in the order of the round.
    """

    near: Vector
    far: Vector
    near_by_label: NDArray[np.float64]
    far_by_label: NDArray[np.float64]
    unit: float
    lengths: Vector
    cosines: Vector
    layers: NDArray[np.float64]


def profile(view: RoundView) -> Profile:
    """The profile of every client of a round; all z-scores are 0 where there is but one."""
    geometry = view.geometry
    count, labels = geometry.count, view.updates.label_count
    lengths, cosines, layers = against_median(view.updates)
    if count < 2:
        none, nones = np.zeros(count), np.zeros((count, labels))
        return Profile(none, none, nones, nones, 0.0, lengths, cosines, layers)
    few = geometry.neighbours(min(FEW, count - 1))
    half = geometry.neighbours(max(1, count // 2))

    def by_label(label: int) -> tuple[Vector, Vector]:
        squares = geometry.block_squares(label)
        return mean_distance(squares, few), mean_distance(squares, half)

    found = geometry.map(by_label, range(labels))
    far = mean_distance(geometry.squares, half)
    return Profile(
        near=robust_z(_log(mean_distance(geometry.squares, few))),
        far=robust_z(_log(far)),
        near_by_label=np.stack([robust_z(_log(near)) for near, _ in found], axis=1),
        far_by_label=np.stack([robust_z(_log(wide)) for _, wide in found], axis=1),
        unit=float(np.median(far)),
        lengths=lengths,
        cosines=cosines,
        layers=layers,
    )


def mean_distance(squares: Floats, neighbours: Neighbourhoods) -> Vector:
    """Each client's mean distance (n,) to its neighbours, from squared distances (n, n)."""
    pairs = np.sqrt(neighbours.pick(squares).astype(np.float64))
    means: Vector = np.add.reduceat(pairs, neighbours.starts) / neighbours.counts
    return means


def robust_z(values: Vector) -> Vector:
    """``values`` (n,) less their median, in robust standard deviations; 0 where all are equal."""
    gaps = values - np.median(values)
    spread = _MAD_SCALE * float(np.median(np.abs(gaps)))
    if not spread > 0:
        spread = _MEAN_SCALE * float(np.abs(gaps).mean())
    return gaps / spread if spread > 0 else np.zeros(len(values))


def against_median(updates: Updates) -> tuple[Vector, Vector, NDArray[np.float64]]:
    """Lengths (n,) of the updates, their cosines (n,) with the coordinate-wise median update, and
    the lengths (n, parameters) of each parameter.

    A cosine with an update of length 0 is 0.
    """
    count = len(updates.clients)
    dots, squares, square = np.zeros(count), np.zeros((count, len(updates.tensors))), 0.0
    for place, name in enumerate(updates.tensors):
        for block in columns(updates.select([name])):
            middle = np.median(block, axis=0)
            dots += block @ middle
            squares[:, place] += np.einsum("ij,ij->i", block, block)
            square += float(middle @ middle)
    lengths = np.sqrt(squares.sum(axis=1))
    scale = lengths * square**0.5
    return lengths, np.clip(dots / np.where(scale > 0, scale, 1), -1, 1), np.sqrt(squares)


def _log(distances: Vector) -> Vector:
    """Logarithms, with a floor for what is as good as nothing beside the median (copies)."""
    floor = 1e-6 * float(np.median(distances)) or 1e-6 * float(distances.max()) or 1.0
    found: Vector = np.log(np.maximum(distances, floor))
    return found
