"""FoolsGold (Fung et al., arXiv:1808.04866; RAID 2020, Algorithm 1): sybils move alike.

The LoMar paper (4.1.3) compares with the memoryless version, its inverse sigmoid centred at 0.5,
confidence 1: similarities are those of one round's updates. ``memory`` sums every client's
updates over the rounds first, as FoolsGold's authors do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lomar_cli.errors import UsageError
from lomar_cli.files.text import printable
from lomar_cli.scoring.base import Judgement, RoundView, Vector
from lomar_cli.scoring.common import judged, output_only
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.nearest import row_blocks
from lomar_cli.scoring.summed import summed

# The authors' code lets the best client's 1 become 0.99, so that the logarithm is finite.
_TOP = 0.99
# Clients are all alike when nobody's similarity differs from 1 by more than rounding.
_ALIKE = 1e-6


def pardoned(cosines: Vector) -> Vector:
    """Each client's largest similarity (n,) to another after pardoning, in [0, 1].

    An honest client that resembles a sybil is pardoned: ``cs_ij`` shrinks by ``v_i / v_j`` where
    the other's own largest similarity ``v_j`` is higher. As in the authors' code the diagonal is
    0, so negative similarities count as none.
    """
    similar = cosines.copy()
    np.fill_diagonal(similar, 0)
    largest = similar.max(axis=1)
    # v_i < v_j and v_i >= 0 imply v_j > 0.
    safe = np.where(largest > 0, largest, 1)
    found = np.empty(len(similar))
    for rows in row_blocks(*similar.shape):
        shrink = np.minimum(1, largest[rows, None] / safe)
        found[rows] = (similar[rows] * shrink).max(axis=1)
    return np.clip(found, 0, 1)


def foolsgold_weights(similarity: Vector, confidence: float = 1.0, centre: float = 0.5) -> Vector:
    """The learning rates ``alpha`` (n,) in [0, 1]: ``kappa (ln(a / (1 - a)) + centre)``, clipped.

    ``similarity`` (n,) is as ``pardoned`` makes it. All 0 when all updates point the same way,
    where the definition divides 0 by 0.
    """
    alone = 1 - similarity
    if alone.max() <= _ALIKE:
        return np.zeros(len(alone))
    scaled = np.minimum(alone / alone.max(), _TOP)
    with np.errstate(divide="ignore"):
        logit = np.log(scaled / (1 - scaled))
    found: Vector = np.clip(confidence * (logit + centre), 0, 1)
    return found


@dataclass(frozen=True)
class FoolsGold:
    """``confidence`` is kappa and ``centre`` the constant of Algorithm 1's logit.

    ``output_only`` compares the output layer only; ``memory`` sums updates over the rounds of
    ``--history``. A client is flagged when its weight is below ``keep_from``: FoolsGold itself
    has no such threshold, it scales.
    """

    confidence: float = 1.0
    centre: float = 0.5
    output_only: bool = False
    memory: bool = False
    keep_from: float = 0.5

    def __post_init__(self) -> None:
        if not (self.confidence > 0 and math.isfinite(self.confidence)):
            raise UsageError(f"--set confidence={self.confidence}: must be above 0")
        if not math.isfinite(self.centre):
            raise UsageError(f"--set centre={self.centre}: must be a number")
        if not 0 <= self.keep_from <= 1:
            raise UsageError(f"--set keep_from={self.keep_from}: must lie between 0 and 1")

    def __call__(self, view: RoundView) -> Judgement:
        cosines, notes = self.cosines(view)
        similarity = pardoned(cosines)
        weights = foolsgold_weights(similarity, self.confidence, self.centre)

        def sybil(row: int) -> str:
            others = cosines[row].copy()
            others[row] = -np.inf
            twin = int(others.argmax())
            name = printable(view.updates.clients[twin], 40)
            return f"moves in the direction of '{name}' (cosine {cosines[row, twin]:.4f})"

        columns = {"foolsgold_weight": weights, "similarity": similarity}
        kept = "moves in a direction of its own"
        return judged(1 - weights, 1 - self.keep_from, sybil, kept, columns, notes)

    def cosines(self, view: RoundView) -> tuple[Vector, list[str]]:
        """The similarities (n, n) that count, and what there is to say about them."""
        updates, geometry = view.updates, view.geometry
        notes = []
        if self.output_only:
            if updates.output is None:
                raise UsageError("--set output_only=true: the round names no output layer")
            updates = output_only(updates)
        if self.memory:
            if not view.history:
                notes.append("no earlier rounds (--history): similarities are of this round alone")
            updates, left_out = summed(updates, view.history)
            if left_out:
                notes.append(f"{left_out} earlier updates left out: not finite, or absurdly large")
        elif view.history:
            notes.append("earlier rounds are not used: --set memory=true sums them")
        if updates is not view.updates:
            geometry = Geometry(updates, geometry.memory, geometry.jobs)
        return geometry.cosines, notes
