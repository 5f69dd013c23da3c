"""Pairs of labels of a round: the evidence for each, and whose z would be guilty of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lomar_cli.scoring.auto.base import Seen
from lomar_cli.scoring.auto.contrast import Contrasts, contrasts
from lomar_cli.scoring.auto.evidence import evidence, level
from lomar_cli.scoring.auto.tails import tail_evidence
from lomar_cli.scoring.auto.unmix import Rows, unmix

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
# A label is judged that so many trusted clients hold, and compared if so many do.
LEAST_HOLDERS, _LEAST_COMPARED = 8, 4
# Below this a contrast is no evidence in any pair.
_LEAST = 0.3
# A share of the clients that clearly hold a label, from which on its tails are asked.
_COMMON = 0.25


@dataclass(frozen=True)
class Pair:
    """Samples of class ``source`` are called ``target`` by ``clients`` (n,)."""

    target: int
    source: int
    clients: Mask


def at(pairs: Array, place: np.intp) -> tuple[int, int]:
    """Target and source at a flat place of (R, R) numbers."""
    g, s = np.unravel_index(place, pairs.shape)
    return int(g), int(s)


class Pairs:
    """The pairs of a round's labels, fitted to some of its clients and judged by some."""

    def __init__(self, seen: Rows, view: Seen) -> None:
        self.rows = seen
        self.count, self.labels = seen.claims.shape
        self.trusted = view.trusted
        self.false_alarm = view.false_alarm
        # What others than the trusted claim to hold is no class to judge anybody by.
        claims = seen.claims[self.trusted]
        holders = (claims > seen.faint * claims.max(axis=1, keepdims=True)).sum(axis=0)
        self.judged: Mask = holders >= max(LEAST_HOLDERS, self.count / 20)
        # Fewer do for what is only compared with: innocent pairs, which tell the guilty ones.
        self.compared: Mask = holders >= max(_LEAST_COMPARED, self.count / 40)
        self.strict = math.log10(self.false_alarm / 0.01)
        self.believed = True

    def _both(self) -> Mask:
        return self.judged[:, None] & self.judged[None, :] & ~np.eye(self.labels, dtype=bool)

    @cached_property
    def content(self) -> Array:
        """The contents (n, R, R) by the fit on all who are trusted."""
        return unmix(self.rows, self.trusted)

    def _contrasts(self, fit: Mask) -> Contrasts:
        return contrasts(unmix(self.rows, fit), self.rows.rest, fit, self.compared)

    def _evidence(self, contrast: Contrasts, rows: Mask) -> Array:
        """Evidence by pair; what clients seem to hold counts only where they are believed."""
        if not self.believed:
            contrast = contrast._replace(below=np.zeros_like(contrast.below))
        return np.where(self._both(), evidence(contrast, rows), 0.0)

    def _all_evidence(self, contrast: Contrasts, rows: Mask) -> Array:
        """The same, or by the tails of what is common, where that is more."""
        usual = self._evidence(contrast, rows)
        if not self.believed:
            return usual
        # Of what few hold there may be kinds of their own, which look like another label's.
        held = np.fmax.reduce(contrast.below[rows], axis=1, initial=0.0) > 0
        common = held.mean(axis=0) >= _COMMON
        asked = self._both() & common[:, None] & common[None, :]
        return np.where(asked, np.minimum(usual, tail_evidence(contrast, rows)), usual)

    def _fit(self, pairs: list[Pair]) -> Mask:
        fit = self.trusted.copy()
        for pair in pairs:
            fit &= ~pair.clients
        return fit

    def _majority(self, fit: Mask) -> bool:
        return bool(fit.sum() > 0.5 * self.count)

    def _pair(self, z: Array, before: list[Pair], g: int, s: int) -> Pair:
        height = self._height(z, before, s, self._fit(before))
        return Pair(g, s, (z[:, g, s] > height) & self.trusted)

    def _usual(self, z: Array, pairs: list[Pair]) -> float:
        """The z that one client in a hundred exceeds in a pair that is not guilty."""
        return level(z, self._fit(pairs), [pair.source for pair in pairs], 0.01, _LEAST)

    def _height(self, z: Array, before: list[Pair], s: int, fit: Mask) -> float:
        """The z that honest clients seldom exceed in other pairs."""
        sources = [p.source for p in before] + [s]
        return level(z, fit, sources, self.false_alarm / len(sources), _LEAST)
