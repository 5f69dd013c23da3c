"""Two runs side by side: the same point and defense in both, and the difference."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from lomar_cli.experiments.layouts import HEADINGS
from lomar_cli.experiments.results import MEASURES, Group, Place, Point, Results, deviation
from lomar_cli.experiments.tables import Table, Value, digits, value_of

NOTE = (
    "Difference: right minus left; its spread is over the seeds that both have, seed by seed, "
    "and is left out when they share fewer than two."
)


@dataclass(frozen=True)
class Comparison:
    """``pairs`` stand in both runs, in the order of the left one; the rest stands in one."""

    names: tuple[str, str]
    pairs: list[tuple[Group, Group]]
    alone: list[tuple[str, Point]]


def compare(left: Results, right: Results, names: tuple[str, str]) -> Comparison:
    """Match by setting, lambda, malicious, attack and defense."""
    theirs = {group.point: group for group in right.groups}
    mine = {group.point for group in left.groups}
    pairs = [(g, theirs[g.point]) for g in left.groups if g.point in theirs]
    alone = [(names[0], g.point) for g in left.groups if g.point not in theirs]
    alone += [(names[1], g.point) for g in right.groups if g.point not in mine]
    return Comparison(names, pairs, alone)


def difference(left: Group, right: Group, measure: str) -> Value:
    """Right minus left; over shared seeds where there are any, else between the means."""
    mine, theirs = left.by_seed(measure), right.by_seed(measure)
    shared = [seed for seed in mine if seed in theirs]
    if shared:
        apart = [theirs[seed] - mine[seed] for seed in shared]
        return Value(sum(apart) / len(apart), deviation(apart), len(apart), signed=True)
    first, second = left.mean(measure), right.mean(measure)
    if first is None or second is None:
        return Value()
    return Value(second - first, signed=True)


def comparison_tables(found: Comparison) -> list[Table]:
    """A table a place: for each measure left, right and the difference."""
    places: dict[Place, list[tuple[Group, Group]]] = {}
    for pair in found.pairs:
        places.setdefault(pair[0].place, []).append(pair)
    tables = []
    for number, (place, pairs) in enumerate(places.items(), start=1):
        measures = [m for m in HEADINGS if any(g.values(m) for pair in pairs for g in pair)]
        heads, rows = [], []
        for measure in measures:
            both = [(HEADINGS[measure], name) for name in found.names]
            heads += [*both, (HEADINGS[measure], "difference")]
        for left, right in pairs:
            values = []
            for measure in measures:
                values += [value_of(left, measure), value_of(right, measure)]
                values.append(difference(left, right, measure))
            rows.append((left.point.defense, values))
        if measures:
            caption = f"{place.setting}, {place.label}"
            tables.append(Table(f"comparison-{number}", caption, heads, rows, notes=[NOTE]))
    return tables


def comparison_csv(found: Comparison) -> str:
    """One line a point, defense and measure."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    head = ["setting", "lambda", "malicious", "attack", "defense", "measure"]
    for name in found.names:
        head += [name, f"{name} sd", f"{name} seeds"]
    writer.writerow([*head, "difference", "difference sd"])
    for left, right in found.pairs:
        place = left.place
        for measure in MEASURES:
            if not left.values(measure) and not right.values(measure):
                continue
            row: list[object] = [place.setting, place.imbalance, place.malicious, place.attack]
            row += [left.point.defense, measure]
            for group in (left, right):
                seeds = len(group.values(measure))
                row += [digits(group.mean(measure)), digits(group.spread(measure)), seeds]
            apart = difference(left, right, measure)
            writer.writerow([*row, digits(apart.mean), digits(apart.spread)])
    return stream.getvalue()
