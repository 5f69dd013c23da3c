"""Near-copies share one vote.

A client that is framed by near-copies of its update is tight among them and would be removed as a
sybil. So copies are found first and judged as one client, their medoid, by all views but those that
look at each client by itself; those that are kept share one vote (``weight``). Complete linkage:
any two of a group are near-copies, so that no bridge of sybils joins honest clients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lomar_cli.scoring.auto.level import scaled
from lomar_cli.scoring.geometry import Floats, Geometry

# Two updates nearer than this share of the shorter one's length are near-copies. A copy with 2 %
# noise lies at 0.02 from its original, two such at 0.028 from each other; honest clients were
# found at 0.038 and more.
NEAR = 0.033
# Nearer than this share, also where clients are close by nature, they are the same: no two honest
# ones were found below 0.012.
SAME = 1e-3
# The original is nearer to its copies than these are to each other: its sum of squared distances in
# the group is at most two thirds of any copy's.
_MIDDLE = 0.8
# So many copies are no frame around a victim any more: at most one honest client is among them.
CROWD = 0.2


@dataclass(frozen=True)
class Groups:
    """``number`` (n,) is each client's group, ``size`` (n,) how many are in it, ``medoids`` the
    clients (groups,) that stand for them, in order of their groups' numbers. ``middle`` (n,) marks
    who may be the one that the others of its group copy, ``same`` (n,) who is the same as another.
    """

    number: NDArray[np.intp]
    size: NDArray[np.intp]
    medoids: NDArray[np.intp]
    middle: NDArray[np.bool_]
    same: NDArray[np.bool_]

    @property
    def crowd(self) -> NDArray[np.bool_]:
        """Who (n,) is one of so many copies that they are no frame around a victim any more."""
        found: NDArray[np.bool_] = self.size >= max(CROWD * len(self.size), 3)
        return found

    def shown(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """All clients, but of a crowd its medoid alone, as rows (m,) of the round.

        And who stands for each client, as places (n,) among these. Where no other copies are,
        these are the medoids, in their order.
        """
        kept = ~self.crowd
        if (self.size[kept] == 1).all():
            return self.medoids, self.number
        kept[self.medoids] = True
        own = np.where(kept, np.arange(len(kept)), self.medoids[self.number])
        return np.flatnonzero(kept), (np.cumsum(kept) - 1)[own]


def find(
    geometry: Geometry, lengths: NDArray[np.float64], factors: NDArray[np.float64] | None = None
) -> Groups:
    """Group the near-copies of a round, of these ``lengths`` (n,); most clients are alone.

    With ``factors`` (n,) updates times these are looked at as well: a copy at another scale, with
    a claim to go with it, is near its original there. Who is near in either way is a near-copy.
    """
    count = geometry.count
    limits = NEAR * lengths
    squares = geometry.squares
    number = np.arange(count)
    near = [(squares[i] <= np.minimum(limits[i], limits) ** 2).sum() > 1 for i in range(count)]
    if factors is not None:
        others = NEAR * factors * lengths
        for i in range(count):
            one = slice(i, i + 1)
            beside = scaled(squares[one], factors, lengths, one)[0]
            near[i] |= (beside <= np.minimum(others[i], others) ** 2).sum() > 1
    rows = np.flatnonzero(near)
    same = np.zeros(count, dtype=bool)
    if len(rows) > 1:
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        some = squares[np.ix_(rows, rows)].astype(np.float64)
        among = _by_limits(some, limits[rows])
        if factors is not None:
            levelled = scaled(some, factors[rows], lengths[rows], slice(None))
            among = np.minimum(among, _by_limits(levelled, others[rows]))
        among = np.minimum(among, 1e6)
        np.fill_diagonal(among, 0.0)
        tree = linkage(squareform(among, checks=False), "complete")
        number[rows] = count + fcluster(tree, 1.0, "distance")
        np.fill_diagonal(among, np.inf)
        same[rows] = among.min(axis=1) <= SAME / NEAR
    # Groups are numbered by their first member, so that without copies they are the clients.
    _, first, number = np.unique(number, return_index=True, return_inverse=True)
    number = np.argsort(np.argsort(first))[number]
    size = np.bincount(number)
    medoids = np.empty(len(size), np.intp)
    middle = np.zeros(count, dtype=bool)
    for group in range(len(size)):
        members = np.flatnonzero(number == group)
        medoids[group] = members[0]
        if len(members) == 2:
            # Neither is in the middle: who is nearer to everybody, as their order must not decide.
            medoids[group] = members[int(np.argmin(squares[members].sum(axis=1)))]
        elif len(members) > 2:
            inside = squares[np.ix_(members, members)].sum(axis=1)
            medoids[group] = members[int(np.argmin(inside))]
            least, next_least = np.partition(inside, 1)[:2]
            middle[medoids[group]] = least < _MIDDLE * next_least
    return Groups(number.astype(np.intp), size[number], medoids, middle, same)


def _by_limits(squares: Floats, limits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (m, m) in units of the lesser limit, infinite where that is 0."""
    shorter = np.minimum.outer(limits, limits)
    distances = np.sqrt(np.maximum(squares, 0.0))
    found: NDArray[np.float64] = np.where(
        shorter > 0, distances / np.where(shorter > 0, shorter, 1.0), np.inf
    )
    return found
