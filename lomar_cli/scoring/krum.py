"""Krum's score (Blanchard et al., NIPS 2017, sec. 4): is a client near to most of the others?

``s(i)`` is the sum of the squared distances from ``u_i`` to its ``n - f - 2`` nearest other
updates. As the LoMar paper uses it (4.1.3) the ``f`` clients with the highest scores are removed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import UsageError
from lomar_cli.scoring.base import Judgement, RoundView, Vector
from lomar_cli.scoring.common import judged, top_limit
from lomar_cli.scoring.options import assumed

Floats = NDArray[np.floating[Any]]


def to_others(squares: Floats) -> Floats:
    """Squared distances with infinity on the diagonal, symmetric to the last bit.

    A Gram product is not symmetric in its last bit, and ties must stay ties.
    """
    others = (squares + squares.T) / 2
    np.fill_diagonal(others, np.inf)
    return others


def nearest_sums(others: Floats, neighbours: int) -> Vector:
    """Sums (n,) of the ``neighbours`` smallest entries of every row."""
    nearest = np.partition(others, neighbours - 1, axis=1)[:, :neighbours]
    found: Vector = nearest.sum(axis=1, dtype=np.float64)
    return found


def krum_scores(squares: Floats, neighbours: int) -> Vector:
    """Sums (n,) of the squared distances to the ``neighbours`` nearest others."""
    return nearest_sums(to_others(squares), neighbours)


def in_order(scores: Vector, others: Floats) -> NDArray[np.intp]:
    """Clients by score, the smallest first.

    With one neighbour two clients that are each other's nearest always have equal scores: then
    the one that is nearer to all others goes first, so that their order in the file never decides.
    """
    order = np.argsort(scores, kind="stable")
    if (np.diff(scores[order]) > 0).all():
        return order
    totals = np.where(np.isfinite(others), others, 0).sum(axis=1, dtype=np.float64)
    return np.lexsort((totals, scores))


def neighbour_count(clients: int, malicious: int, who: str) -> int:
    """``n - f - 2``; UsageError, in the name of ``who``, when that is no neighbour at all."""
    if clients < malicious + 3:
        raise UsageError(
            f"{who}: needs at least f + 3 clients, {malicious + 3} when {malicious} are assumed "
            f"malicious (--assume-malicious); there are {clients}"
        )
    return clients - malicious - 2


def guarantee(clients: int, malicious: int) -> list[str]:
    """A sentence when there are too few clients for what Krum's authors prove (Prop. 4.2)."""
    if clients > 2 * malicious + 2:
        return []
    return [
        f"Krum's guarantee needs more than 2 f + 2 = {2 * malicious + 2} clients; "
        f"there are {clients}"
    ]


@dataclass(frozen=True)
class Krum:
    """``assume_malicious`` is f: a number (5), a share (10%), or a fifth when not given."""

    by_distance: ClassVar[bool] = True

    assume_malicious: str | None = None

    def __call__(self, view: RoundView) -> Judgement:
        count = len(view.updates.clients)
        malicious = assumed(self.assume_malicious, count)
        told = "as told" if self.assume_malicious else "a fifth, as nothing was told"
        judgement = self.judge(view, malicious)
        note = (
            f"the {malicious} highest scores of {count} are flagged, malicious or not "
            f"(assumed malicious: {told})"
        )
        return replace(judgement, notes=[note, *judgement.notes])

    @staticmethod
    def judge(view: RoundView, malicious: int) -> Judgement:
        """Flag the ``malicious`` highest scores."""
        count = len(view.updates.clients)
        nearest = neighbour_count(count, malicious, "--method krum")
        scores = krum_scores(view.geometry.squares, nearest)
        typical = float(np.median(scores))

        def far(row: int) -> str:
            times = f"{np.sqrt(scores[row] / typical):.3g} times" if typical > 0 else "not"
            return f"its {nearest} nearest lie {times} as far as the median client's"

        return judged(
            scores,
            top_limit(scores, malicious),
            far,
            "near enough to most other clients",
            {"neighbour_distance": np.sqrt(scores / nearest)},
            guarantee(count, malicious),
        )
