"""A view on signs: shares of zero and of positive parameters unlike the others'.

What is made up rather than trained seldom has the zeros of features that are never seen, and its
signs are those of whatever it was made from. The shares are SignGuard's (Xu et al. 2022), judged
by a threshold of our own, each by itself and both at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lomar_cli.scoring.auto.base import Seen, Sight, Vector, cannot
from lomar_cli.scoring.auto.forward import split

_CONSTANTS, _BOTH = (6.0, 1.5), (4.5, 1.5)
# A difference of less than this share of the parameters is not looked at.
_LEAST = 0.002


def signs(seen: Seen) -> Sight:
    """How far the share of zeros, or of positives among the rest, lies off the round's middle.

    And how far both do, each in units of its median client's.
    """
    course = seen.geometry.course
    moved = 1 - course.zeros
    positives = course.positives / np.where(moved > 0, moved, 1.0)
    looked: list[tuple[Vector, _Share]] = []
    for share in (_Share("zero", course.zeros), _Share("positive", positives)):
        values = np.abs(share.of - share.usual)
        if float(values.max()) >= _LEAST:
            looked.append((np.maximum(values, _LEAST / 2), share))
    if not looked:
        return cannot(len(moved), "signs are shared alike by all clients")
    suspicion = np.zeros(len(moved))
    words: dict[int, str] = {}
    asked = [(values, _CONSTANTS, [share]) for values, share in looked]
    if len(looked) > 1:
        units = [values / max(float(np.median(values)), _LEAST) for values, _ in looked]
        asked.append((np.hypot(*units), _BOTH, [share for _, share in looked]))
    for values, constants, shares in asked:
        found = split(values, *constants, seen.false_alarm, crowd=True)
        for i in np.flatnonzero(found.suspicion > 1):
            words.setdefault(int(i), " and ".join(share.words(i) for share in shares))
        suspicion = np.fmax(suspicion, found.suspicion if found.found else 0.5 * found.suspicion)
    return Sight(suspicion, bool((suspicion > 1).any()), words)


@dataclass(frozen=True)
class _Share:
    """The share of its parameters (n,) that are ``name`` with each client."""

    name: str
    of: Vector

    @property
    def usual(self) -> float:
        return float(np.median(self.of))

    def words(self, client: np.intp) -> str:
        return (
            f"{self.of[client]:.1%} of its parameters are {self.name}, usual are {self.usual:.1%}"
        )
