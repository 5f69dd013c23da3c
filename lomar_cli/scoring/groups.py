"""Clients of several known kinds, each kind judged by itself.

Every method takes the honest clients of a round to differ by chance and by their labels. Where some
see the world through another device, or take other steps, they differ from the others as attackers
do. Who knows which clients are of one kind can have them compared with each other alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import LomarError
from lomar_cli.files.text import counted, listed, printable
from lomar_cli.scoring.base import Judgement, RoundView, Vector
from lomar_cli.scoring.geometry import Geometry

# A smaller group tells nothing of what its members have in common.
LEAST = 10
Rows = NDArray[np.intp]


def apart(names: Sequence[str | None]) -> dict[str, Rows]:
    """The groups that are judged by themselves: their rows, by the name that each client has.

    None is no group. Clients of fewer than ten of a name are in none of them.
    """
    found: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        if name is not None:
            found.setdefault(name, []).append(row)
    return {
        name: np.array(found[name], np.intp) for name in sorted(found) if len(found[name]) >= LEAST
    }


@dataclass(frozen=True)
class Groups:
    """The n clients of a view in groups, each with its rows.

    ``others`` are the rows of those that are in none of them. Views of groups are kept for the
    next method if ``keep``, and made anew otherwise, so that one at a time is held.
    """

    whole: RoundView
    rows: Mapping[str, Rows]
    others: Rows
    keep: bool = False
    kept: dict[str, RoundView] = field(default_factory=dict)

    def judge(self, judge: Callable[[RoundView], Judgement]) -> Judgement:
        """Judge every client among its own, those of no group among all.

        Where groups have thresholds of their own, suspicions are told as what they are above
        theirs, and the threshold is 0.
        """
        made: dict[str | None, tuple[Rows, Judgement]] = {}
        for name, rows in self.rows.items():
            try:
                made[name] = rows, judge(self._view(name))
            except LomarError as error:
                raise type(error)(f"group '{printable(name, 40)}': {error}") from None
        sizes = {name: len(rows) for name, rows in self.rows.items()}
        notes = [_told(sizes)] if sizes else []
        if len(self.others):
            notes.append(_told_others(self.whole.updates.clients, self.others, len(sizes)))
            made[None] = self.others, _rows(judge(self.whole), self.others)
        return _merged(len(self.whole.updates.clients), made, notes)

    def _view(self, name: str) -> RoundView:
        if name in self.kept:
            return self.kept[name]
        view = part(self.whole, self.rows[name])
        if self.keep:
            self.kept[name] = view
        return view


def grouped(view: RoundView, names: Sequence[str | None], keep: bool = False) -> Groups:
    """The clients of a view by their ``names`` (n,); ``keep`` is for more methods than one."""
    rows = apart(names)
    others = np.ones(len(names), bool)
    for own in rows.values():
        others[own] = False
    return Groups(view, rows, np.flatnonzero(others), keep)


def part(view: RoundView, rows: Rows) -> RoundView:
    """Some clients of a view, with distances of their own: the others have no part in them."""
    updates, whole = view.updates.rows(rows), view.geometry
    geometry = Geometry(updates, whole.memory, whole.jobs, whole.adder)
    return RoundView(updates, geometry, view.seed, view.history, view.root, view.loss)


def _rows(judged: Judgement, rows: Rows) -> Judgement:
    return Judgement(
        judged.suspicion[rows],
        judged.threshold,
        judged.keep[rows],
        [judged.reasons[row] for row in rows],
        {name: values[rows] for name, values in judged.columns.items()},
        judged.notes,
        None if judged.weight is None else judged.weight[rows],
    )


def _merged(
    count: int, parts: Mapping[str | None, tuple[Rows, Judgement]], notes: list[str]
) -> Judgement:
    """One judgement of ``count`` clients, of whom each part tells some."""
    thresholds = {judged.threshold for _, judged in parts.values()}
    suspicion, keep = np.zeros(count), np.zeros(count, bool)
    weight = np.ones(count)
    reasons = [""] * count
    columns: dict[str, Vector] = {}
    for rows, judged in parts.values():
        own = judged.suspicion
        suspicion[rows] = own if len(thresholds) == 1 else _above(own, judged.threshold)
        keep[rows] = judged.keep
        if judged.weight is not None:
            weight[rows] = judged.weight
        for row, reason in zip(rows, judged.reasons, strict=True):
            reasons[row] = reason
        for name, values in judged.columns.items():
            columns.setdefault(name, np.full(count, np.nan))[rows] = values
    if len(thresholds) > 1:
        notes.append(
            "groups have thresholds of their own: suspicions are what they are above these"
        )
    of_all = set.intersection(*(set(judged.notes) for _, judged in parts.values()))
    for group, (_, judged) in parts.items():
        where = "of no group" if group is None else f"group '{printable(group, 40)}'"
        for note in judged.notes:
            # What is said of each may hold its numbers; of all together they would be wrong.
            place = "each group" if note in of_all and len(parts) > 1 else where
            notes.append(note if set(parts) == {None} else f"{place}: {note}")
    weighed = any(judged.weight is not None for _, judged in parts.values())
    return Judgement(
        suspicion,
        thresholds.pop() if len(thresholds) == 1 else 0.0,
        keep,
        reasons,
        columns,
        list(dict.fromkeys(notes)),
        weight if weighed else None,
    )


def _above(suspicion: Vector, threshold: float) -> Vector:
    """How far suspicions are above a threshold; nobody is above an infinite one."""
    found: Vector = suspicion - (threshold if np.isfinite(threshold) else suspicion.max())
    return found


def _told(sizes: Mapping[str, int]) -> str:
    shown = [f"'{printable(name, 40)}' ({size} clients)" for name, size in sizes.items()]
    return f"{counted(len(sizes), 'group')} judged each by itself: {listed(shown)}"


def _told_others(clients: Sequence[str], rows: Rows, groups: int) -> str:
    if not groups:
        return f"no group has {LEAST} clients: all are judged together"
    shown = listed([f"'{printable(clients[row], 40)}'" for row in rows])
    return (
        f"{counted(len(rows), 'client')} of no group of {LEAST} or more, judged among all: {shown}"
    )
