"""Near-copies share one vote.

A client that is framed by near-copies of its update is tight among them and would be removed as a
sybil. So copies are found first and judged as one client, their medoid; each of them then carries
its part of one vote (``weight``). Complete linkage: any two of a group are near-copies, so that no
bridge of sybils joins honest clients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lomar_cli.scoring.geometry import Geometry

# Two updates nearer than this share of the usual distance (a client to the one at half the round)
# are near-copies. Copies with 2 % noise lie at 0.02 to 0.04.
NEAR = 0.05
# So many copies are no frame around a victim any more: at most one honest client is among them.
CROWD = 0.2


@dataclass(frozen=True)
class Groups:
    """``number`` (n,) is each client's group, ``size`` (n,) how many are in it, ``medoids`` the
    clients (groups,) that stand for them, in order of their groups' numbers."""

    number: NDArray[np.intp]
    size: NDArray[np.intp]
    medoids: NDArray[np.intp]


def find(geometry: Geometry) -> Groups:
    """Group the near-copies of a round; most clients are alone in theirs."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    count = geometry.count
    usual = float(np.median(geometry.profile(max(1, count // 2)).kth))
    limit = (NEAR * usual) ** 2
    squares = geometry.squares
    number = np.arange(count)
    rows = np.array([i for i in range(count) if (squares[i] <= limit).sum() > 1], np.intp)
    if usual > 0 and len(rows) > 1:
        among = np.sqrt(np.maximum(squares[np.ix_(rows, rows)].astype(np.float64), 0.0))
        np.fill_diagonal(among, 0.0)
        tree = linkage(squareform(among, checks=False), "complete")
        found = fcluster(tree, NEAR * usual, "distance")
        number[rows] = count + found
    _, number = np.unique(number, return_inverse=True)
    size = np.bincount(number)
    medoids = np.empty(len(size), np.intp)
    for group in range(len(size)):
        members = np.flatnonzero(number == group)
        inside = squares[np.ix_(members, members)].sum(axis=1) if len(members) > 2 else [0.0]
        medoids[group] = members[int(np.argmin(inside))]
    return Groups(number.astype(np.intp), size[number], medoids)
