"""The worst case: the lowest accuracy of each defense over all attacks on the same clients."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from lomar_cli.experiments.results import Group, Place, Results, unique
from lomar_cli.experiments.tables import Table, Value, value_of


@dataclass(frozen=True)
class ByAttack:
    """What every attack does to every defense on the same clients: means (defenses, attacks)."""

    column: str
    names: list[str]
    means: list[list[float | None]]


@dataclass(frozen=True)
class WorstCase:
    """By defense and column: the lowest mean with the attack that does it, and false alarms.

    ``measure`` is what is lowest: accuracy on the source labels, or overall where no attack names
    any. ``alarms`` are of rounds without attack, None where these were not run or not judged;
    ``attacks`` is what the lowest are the lowest of, an entry a column.
    """

    measure: str
    defenses: list[str]
    columns: list[str]
    lowest: list[list[Value]]
    alarms: list[list[Value]]
    attacks: list[ByAttack] = field(default_factory=list)

    @property
    def alarmed(self) -> bool:
        return any(value.mean is not None for row in self.alarms for value in row)


def worst_case(results: Results) -> WorstCase | None:
    """None where no data are attacked in more than one way.

    Settings that share data and training are one column: they differ in their attack only.
    """
    scenarios: dict[tuple[str, float], list[Group]] = {}
    for group in results.groups:
        scenarios.setdefault((group.scenario, group.place.imbalance), []).append(group)
    kept = {
        key: groups
        for key, groups in scenarios.items()
        if len({g.place for g in groups if g.place.attacked}) > 1
        and len({g.place.attack for g in groups if g.place.attacked}) > 1
    }
    if not kept:
        return None
    every = [group for groups in kept.values() for group in groups]
    attacked = {group.point.defense for group in every if group.place.attacked}
    defenses = [name for name in results.defenses if name in attacked]
    sourced = any(group.values("source") for group in every if group.place.attacked)
    measure = "source" if sourced else "overall"
    lowest = [[_lowest(groups, name, measure) for groups in kept.values()] for name in defenses]
    alarms = [[_alarms(groups, name) for groups in kept.values()] for name in defenses]
    columns = _titles(list(kept.values()))
    attacks = [
        _by_attack(column, groups, defenses, measure)
        for column, groups in zip(columns, kept.values(), strict=True)
    ]
    return WorstCase(measure, defenses, columns, lowest, alarms, attacks)


def worst_table(worst: WorstCase) -> Table:
    """The worst case as a table: which attack does it stands with the number."""
    heads = [("lowest", column) for column in worst.columns]
    if worst.alarmed:
        heads += [("false alarms, no attack", column) for column in worst.columns]
    rows = []
    for number, name in enumerate(worst.defenses):
        more = worst.alarms[number] if worst.alarmed else []
        rows.append((name, [*worst.lowest[number], *more]))
    what = "accuracy on source labels" if worst.measure == "source" else "overall accuracy"
    return Table("worst-case", f"Lowest {what} over all attacks", heads, rows)


def _lowest(groups: list[Group], defense: str, measure: str) -> Value:
    mine = [g for g in groups if g.point.defense == defense and g.place.attacked]
    found = [(mean, g) for g in mine if (mean := g.mean(measure)) is not None]
    if not found:
        return value_of(mine[0] if mine else None, measure)
    _, group = min(found, key=lambda pair: pair[0])
    value = value_of(group, measure)
    share = f", {group.place.malicious}" if group.place.malicious else ""
    return Value(value.mean, value.spread, value.seeds, text=f"{group.place.attack}{share}")


def _alarms(groups: list[Group], defense: str) -> Value:
    calm = [g for g in groups if g.point.defense == defense and not g.place.attacked]
    return value_of(calm[0] if calm else None, "false_alarms")


def _by_attack(column: str, groups: list[Group], defenses: list[str], measure: str) -> ByAttack:
    places = unique(group.place for group in groups if group.place.attacked)
    there = {(group.place, group.point.defense): group for group in groups}
    means = [
        [
            group.mean(measure) if (group := there.get((place, name))) is not None else None
            for place in places
        ]
        for name in defenses
    ]
    return ByAttack(column, [_attack(place, places) for place in places], means)


def _attack(place: Place, places: list[Place]) -> str:
    """What tells an attack from the others: its setting's name where each has its own."""
    if len({one.setting for one in places}) == len(places):
        return place.setting
    several = len({one.setting for one in places}) > 1
    before = f"{place.setting}: " if several else ""
    shares = len({one.malicious for one in places}) > 1
    return f"{before}{place.attack}" + (f", {place.malicious}" if shares else "")


def _titles(columns: list[list[Group]]) -> list[str]:
    """The setting, or the data set where several settings attack the same clients; and lambda."""
    titles: list[str] = []
    for groups in columns:
        settings = unique(group.place.setting for group in groups)
        name = settings[0] if len(settings) == 1 else json.loads(groups[0].scenario)[0]["name"]
        title = f"{name}, lambda {groups[0].place.imbalance:g}"
        again = sum(one.split(" (")[0] == title for one in titles)
        titles.append(f"{title} ({again + 1})" if again else title)
    return titles
