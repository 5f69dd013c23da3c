"""Results of a sweep as a table: one line a point of the axes and defense, over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
ACCURACY = ("overall", "source", "target", "other", "attack_success")
MEASURES = (*ACCURACY, "auc", "found", "false_alarms")


@dataclass(frozen=True)
class Place:
    """A point of the axes: what every defense meets there. ``flips`` are also what is measured."""

    setting: str
    imbalance: float
    malicious: str
    attack: str
    flips: str = ""

    @property
    def attacked(self) -> bool:
        return self.attack != "none"

    @property
    def share(self) -> float:
        return share_of(self.malicious)

    @property
    def label(self) -> str:
        """The axes in words, without the setting."""
        if not self.attacked:
            return f"lambda {self.imbalance:g}, no attack"
        return f"lambda {self.imbalance:g}, {self.malicious or 'none'} malicious, {self.attack}"


@dataclass(frozen=True)
class Point:
    """Where in the sweep a group of seeds stands: a place and the defense there."""

    place: Place
    defense: str


@dataclass(frozen=True)
class Trouble:
    """A cell without a result: its status, ``not applicable`` or ``failed``, and why."""

    seed: int
    status: str
    reason: str


@dataclass
class Group:
    """All seeds of one point: their rows by round, and what became of the other seeds.

    ``clean`` marks the reference run that is never attacked, ``assumed`` what the defense was told
    of the attackers' number (``oracle``: the truth), ``scenario`` the data and training without
    the imbalance: settings that share it differ in their attack only.
    """

    point: Point
    clean: bool = False
    assumed: str = ""
    scenario: str = ""
    seeds: list[int] = field(default_factory=list)
    rows: list[list[dict[str, Any]]] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)

    def by_seed(self, measure: str, place: int = -1) -> dict[int, float]:
        """One number a seed, from the last evaluated round (or another by ``place``).

        ``measure`` is a key of a row, or two with a dot between them: ``per_label.7``.
        """
        found = {}
        for seed, rows in zip(self.seeds, self.rows, strict=True):
            value: Any = rows[place] if -len(rows) <= place < len(rows) else None
            for key in measure.split(".", 1):
                value = value.get(key) if isinstance(value, dict) else None
            if isinstance(value, int | float):
                found[seed] = float(value)
        return found

    def values(self, measure: str, place: int = -1) -> list[float]:
        return list(self.by_seed(measure, place).values())

    def mean(self, measure: str) -> float | None:
        values = self.values(measure)
        return statistics.fmean(values) if values else None

    def spread(self, measure: str) -> float | None:
        """Standard deviation over seeds; None with fewer than two."""
        return deviation(self.values(measure))

    @property
    def place(self) -> Place:
        return self.point.place

    @property
    def scored(self) -> bool:
        """True when the last rounds hold suspicions to draw."""
        return any(rows and "scores" in rows[-1] for rows in self.rows)


@dataclass(frozen=True)
class Results:
    """What a results folder holds."""

    folder: Path
    title: str
    about: str
    layout: str
    quick: bool
    document: dict[str, Any]
    groups: list[Group]
    missing: int
    seconds: float
    versions: list[str]

    @property
    def settings(self) -> list[str]:
        return unique(group.place.setting for group in self.groups)

    @property
    def seeds(self) -> list[int]:
        return sorted({seed for group in self.groups for seed in group.seeds})

    @property
    def troubles(self) -> list[tuple[Group, Trouble]]:
        return [(group, trouble) for group in self.groups for trouble in group.troubles]

    def places(self, setting: str | None = None) -> list[Place]:
        """The places (of a setting) in their order, without those of clean runs alone."""
        mine = [g for g in self.groups if setting is None or g.place.setting == setting]
        return unique(g.place for g in mine if not g.clean) or unique(g.place for g in mine)

    def attacked(self, setting: str) -> list[Place]:
        """The places under attack; all of them where nothing is."""
        every = self.places(setting)
        return [place for place in every if place.attacked] or every

    def at(self, place: Place) -> list[Group]:
        """The defenses at a place, in the plan's order, and the clean run that belongs to it."""
        found = {
            group.point.defense: group
            for group in self.groups
            if group.place == place or (group.clean and is_clean_of(group.place, place))
        }
        return [found[name] for name in self.defenses if name in found]

    @property
    def defenses(self) -> list[str]:
        """In the order of the plan."""
        named = [entry.get("name") for entry in self.document.get("defense", [])]
        return unique([*named, *(group.point.defense for group in self.groups)])


def is_clean_of(clean: Place, place: Place) -> bool:
    """True when an unattacked ``clean`` run is what ``place`` would be without its attack."""
    return (clean.setting, clean.imbalance, clean.flips) == (
        place.setting,
        place.imbalance,
        place.flips,
    )


def share_of(text: str) -> float:
    """A number to draw ``malicious`` at: ``10%`` is 0.1, ``100`` is 100; 0 when there is none."""
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text or 0)
    except ValueError:
        return math.nan


def deviation(values: Sequence[float]) -> float | None:
    """Standard deviation over seeds (n - 1); None with fewer than two."""
    return statistics.stdev(values) if len(values) > 1 else None


def unique(items: Iterable[T]) -> list[T]:
    """The items in their first order, each once."""
    return list(dict.fromkeys(items))
