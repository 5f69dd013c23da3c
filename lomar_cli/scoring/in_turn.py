"""FoolsGold and Krum in turn: what the first removes, the second does not see.

The LoMar paper compares with "FG + Krum" (4.1.3, Table 3) and does not state the order, so both
are here. (FoolsGold's authors judge by both side by side: their Krum sees everybody.) Krum in
second place removes those of the f assumed malicious clients that FoolsGold left, not f more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lomar_cli.scoring.base import Judgement, RoundView, Vector
from lomar_cli.scoring.foolsgold import FoolsGold
from lomar_cli.scoring.krum import Krum
from lomar_cli.scoring.options import assumed


def merge(
    first: Judgement, second: Judgement | None, rest: NDArray[np.intp], names: tuple[str, str]
) -> Judgement:
    """One judgement of all; those removed first rank above all others, in their own order.

    ``second`` is of the rows ``rest`` only; None when there was nobody it could judge.
    """
    count = len(first.keep)
    suspicion, keep = np.zeros(count), first.keep.copy()
    reasons: list[str] = [f"{names[0]}: {reason}" for reason in first.reasons]
    threshold = 0.0
    notes = [f"{names[0]}: {note}" for note in first.notes]
    columns: dict[str, Vector] = dict(first.columns)
    if second is not None:
        suspicion[rest], keep[rest], threshold = second.suspicion, second.keep, second.threshold
        for row, reason in zip(rest, second.reasons, strict=True):
            reasons[row] = f"{names[1]}: {reason}"
        for name, values in second.columns.items():
            columns[name] = np.full(count, np.nan)
            columns[name][rest] = values
        notes += [f"{names[1]}: {note}" for note in second.notes]
    else:
        notes.append(f"{names[0]} left too few clients for {names[1]} to judge: it judged nobody")
    removed = np.flatnonzero(~first.keep)
    top = max(threshold, float(suspicion.max(initial=0)))
    suspicion[removed] = _above(top, first.suspicion[removed])
    return Judgement(suspicion, threshold, keep, reasons, columns, notes)


def _above(top: float, values: Vector) -> Vector:
    """The values in their own order, moved to lie between ``top`` and three times as far."""
    if len(values) == 0:
        return values
    unit = top if top > 0 else 1.0
    spread = float(np.ptp(values))
    found: Vector = top + unit * (1 + (values - values.min()) / (spread if spread > 0 else 1.0))
    return found


def _of(view: RoundView, rest: NDArray[np.intp]) -> RoundView:
    geometry = view.geometry.part(rest)
    return replace(view, updates=geometry.updates, geometry=geometry)


@dataclass(frozen=True)
class _Both:
    """Krum's option and FoolsGold's."""

    assume_malicious: str | None = None
    confidence: float = 1.0
    centre: float = 0.5
    output_only: bool = False
    memory: bool = False
    keep_from: float = 0.5

    def __post_init__(self) -> None:
        self.foolsgold()

    def foolsgold(self) -> FoolsGold:
        options = (self.confidence, self.centre, self.output_only, self.memory, self.keep_from)
        return FoolsGold(*options)


@dataclass(frozen=True)
class FoolsGoldKrum(_Both):
    """FoolsGold removes, then Krum judges the rest."""

    def __call__(self, view: RoundView) -> Judgement:
        count = len(view.updates.clients)
        malicious = assumed(self.assume_malicious, count)
        first = self.foolsgold()(view)
        rest = np.flatnonzero(first.keep)
        left = max(0, malicious - (count - len(rest)))
        # How many FoolsGold leaves is a matter of the round, not of the options: no refusal.
        second = Krum.judge(_of(view, rest), left) if len(rest) >= left + 3 else None
        judged = merge(first, second, rest, ("FoolsGold", "Krum"))
        told = "as told" if self.assume_malicious else "a fifth, as nothing was told"
        note = f"{malicious} of {count} assumed malicious ({told}), {left} of them left for Krum"
        return replace(judged, notes=[note, *judged.notes])


@dataclass(frozen=True)
class KrumFoolsGold(_Both):
    """Krum removes f clients, then FoolsGold judges the rest."""

    def __call__(self, view: RoundView) -> Judgement:
        first = Krum(self.assume_malicious)(view)
        rest = np.flatnonzero(first.keep)
        return merge(first, self.foolsgold()(_of(view, rest)), rest, ("Krum", "FoolsGold"))
