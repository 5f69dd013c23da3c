"""Which tables a report holds: the paper's layouts, every measurement, the worst case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from lomar_cli.experiments.printed import NOTE, Printed
from lomar_cli.experiments.results import Group, Place, Results, unique
from lomar_cli.experiments.tables import Table, mean_of, value_of

HEADINGS = {
    "overall": "overall",
    "source": "source",
    "target": "target",
    "other": "other",
    "attack_success": "attack success",
    "auc": "AUC",
    "found": "found",
    "false_alarms": "false alarms",
}
ACCURACIES = ("overall", "source", "other")
Column = tuple[str, str, Place, str]


def layout_tables(results: Results) -> list[Table]:
    """The tables in the layout that the plan asks for; none when it asks for none."""
    makers: dict[str, Callable[[Results], list[Table]]] = {
        "table3": _table3,
        "labels": _labels,
        "table5": _table5,
        "roc": _roc,
        "map": _map,
    }
    maker = makers.get(results.layout)
    return maker(results) if maker else []


def sections(results: Results) -> list[Table]:
    """Every measurement: a table a place, defenses down and measures across."""
    tables = []
    for number, place in enumerate(results.places(), start=1):
        groups = results.at(place)
        measures = [m for m in HEADINGS if any(group.values(m) for group in groups)]
        rows = [(g.point.defense, [value_of(g, m) for m in measures or HEADINGS]) for g in groups]
        tables.append(
            Table(
                f"section-{number}",
                f"{place.setting}, {place.label}",
                [("", HEADINGS[m]) for m in measures or HEADINGS],
                rows,
                notes=_told(groups),
            )
        )
    return tables


def _table3(results: Results) -> list[Table]:
    """Defenses down; overall, source and other across, for each data set (Table 3)."""
    paper = Printed("table3")
    return _abreast(
        results,
        "table3",
        lambda place: [
            (place.setting, HEADINGS[m], place, m)
            for m in ACCURACIES
            if m == "overall" or place.flips
        ],
        lambda place, defense, measure: paper.of(place.setting, defense, measure),
        "Table 3",
    )


def _roc(results: Results) -> list[Table]:
    """Defenses down; AUC, share found and false alarms across, for each data set (Figure 7)."""
    return _abreast(
        results,
        "detection",
        lambda place: [
            (place.setting, HEADINGS[m], place, m) for m in ("auc", "found", "false_alarms")
        ],
    )


def _map(results: Results) -> list[Table]:
    """A line a part of the updates: how far the malicious lie from the honest (Figure 2)."""
    measures = {"distance": "distance", "spread": "spread", "share": "share of the variance"}
    rows = []
    for group in results.groups:
        seen = [run[-1]["map"]["parts"] for run in group.rows if run and "map" in run[-1]]
        for part in seen[0] if seen else ():
            values = []
            for measure in measures:
                found = [one[part].get(measure) for one in seen if part in one]
                values.append(mean_of([value for value in found if value is not None]))
            where = ", ".join(filter(None, (group.place.setting, group.place.label, part)))
            rows.append((where, values))
    if not rows:
        return []
    return [
        Table(
            "map",
            "Where the malicious updates lie",
            [("", head) for head in measures.values()],
            rows,
            corner="updates",
            notes=[
                "Distance of the mean malicious update from the mean honest one, and spread of the "
                "malicious around theirs, in spreads of the honest updates around their mean; "
                "share of the variance that two principal components hold."
            ],
        )
    ]


def _labels(results: Results) -> list[Table]:
    """Overall, the accuracy on each label that the flips name, and on the others (Table 4)."""
    paper = Printed("table4")
    printed = set(paper.measures)

    def columns(place: Place) -> list[Column]:
        labels = unique(label for flip in place.flips.split() for label in flip.split(":"))
        measures = ["overall", *(f"per_label.{label}" for label in labels), "other"]
        return [("", m.removeprefix("per_label."), place, m) for m in measures]

    def number(place: Place, defense: str, measure: str) -> float | None:
        # Only these flips are the paper's: with others its numbers say nothing.
        same = {column[3] for column in columns(place)} == printed
        return paper.of(place.setting, defense, measure) if same else None

    return _each(results, "table4", columns, number, "Table 4")


def _table5(results: Results) -> list[Table]:
    """Training accuracy and below it testing accuracy, of the image set (Table 5)."""
    paper = Printed("table5")
    (printed,) = paper.settings
    tables = []
    for prefix, corner in (("training.", "Training"), ("", "Testing")):
        made = _each(
            results,
            f"table5-{corner.lower()}",
            lambda place, prefix=prefix: [  # type: ignore[misc]
                ("", HEADINGS[m], place, prefix + m) for m in ACCURACIES
            ],
            lambda place, defense, measure: paper.of(printed, defense, measure),
            "Table 5",
        )
        for table in made:
            measured = any(value.mean is not None for _, values in table.rows for value in values)
            if measured:
                caption = f"{corner} accuracy. {table.caption}"
                notes = list(table.notes)
                if table.papers:
                    notes.append("The paper's images are VGGFace2.")
                tables.append(replace(table, corner=corner, caption=caption, notes=notes))
    return tables


Columns = Callable[[Place], Sequence[Column]]
Number = Callable[[Place, str, str], float | None]


def _abreast(
    results: Results, name: str, columns: Columns, number: Number | None = None, title: str = ""
) -> list[Table]:
    """All settings side by side; further places of a setting are further tables."""
    places = [results.attacked(setting) for setting in results.settings]
    tables = []
    for turn in range(max(map(len, places))):
        now = [mine[turn] for mine in places if turn < len(mine)]
        tag = name if turn == 0 else f"{name}-{turn + 1}"
        tables.append(_table(results, tag, now, columns, number, title))
    return tables


def _each(
    results: Results, name: str, columns: Columns, number: Number | None = None, title: str = ""
) -> list[Table]:
    """A table a place."""
    places = [place for setting in results.settings for place in results.attacked(setting)]
    return [
        _table(
            results, name if turn == 0 else f"{name}-{turn + 1}", [place], columns, number, title
        )
        for turn, place in enumerate(places)
    ]


def _table(
    results: Results,
    name: str,
    places: Sequence[Place],
    columns: Columns,
    number: Number | None,
    title: str,
) -> Table:
    heads = [column for place in places for column in columns(place)]
    there = {place: {g.point.defense: g for g in results.at(place)} for place in places}
    rows = []
    for defense in results.defenses:
        if not any(defense in mine for mine in there.values()):
            continue
        values = []
        for _, _, place, measure in heads:
            paper = number(place, defense, measure) if number else None
            values.append(value_of(there[place].get(defense), measure, paper))
        rows.append((defense, values))
    caption = "; ".join(f"{place.setting}: {place.label}" for place in places)
    groups = [group for mine in there.values() for group in mine.values()]
    made = Table(name, caption, [(head[0], head[1]) for head in heads], rows, notes=_told(groups))
    if made.papers:
        caption = f"{title}, measured and as printed. {caption}"
        return replace(made, caption=caption, notes=[*made.notes, NOTE])
    return made


def _told(groups: Sequence[Group]) -> list[str]:
    """Who was told the attackers' number: an oracle run is no blind one."""
    oracles = unique(group.point.defense for group in groups if group.assumed == "oracle")
    notes = [f"Told the true number of attackers: {', '.join(oracles)}."] if oracles else []
    for told in unique(group.assumed for group in groups):
        if told not in ("", "oracle"):
            names = unique(group.point.defense for group in groups if group.assumed == told)
            notes.append(f"Told to reckon with {told} attackers: {', '.join(names)}.")
    return notes
