"""Fill the tables of docs/detection.md from the result files beside it.

A table stands between ``<!-- table KIND key=value ... -->`` and ``<!-- end -->``. ``bars``,
``damage-bars``, ``states`` and ``states-unseen`` are their files as they are. ``detection`` has a
line a method and a column a spread of labels, ``show`` being the number shown (auc, found,
false_alarms: the mean, and the worst in brackets); ``damage`` has a line a defense and a column a
lambda, with the accuracy on the source label, or with ``show=overall`` on all. All other keys
choose rows by a column, ``a|b`` for two values; ``of`` is the folder of ``detection`` that its
file lies in. The page is rewritten; with ``--check`` a stale
page is an error. ``detection_report.py``, ``damage_report.py`` and ``detection_compare.py`` of
``benchmarks/`` write the files.

    python docs/generate_detection.py [--check]
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE / "detection.md"
MARK = re.compile(r"(<!-- table (\S+)((?: \S+=\S+)*) -->\n)(.*?)(<!-- end -->)", re.S)
FIRST = "lomar-auto"
TITLES = {
    "bars": {
        "method": "method",
        "bar": "on",
        "asked": "asked",
        "cells": "cells",
        "met": "met",
        "rounds": "rounds",
        "rounds_met": "met",
        "worst_auc": "worst AUC",
        "worst_found": "worst found",
        "worst_false_alarms": "worst false alarms",
    },
    "damage-bars": {
        "defense": "defense",
        "bar": "on",
        "asked": "asked",
        "settings": "settings",
        "met": "met",
        "greatest_loss": "greatest loss",
    },
    "states": {
        "data": "data",
        "attacks": "attacks",
        "rounds": "rounds",
        "auc_before": "AUC before",
        "auc_after": "after",
        "found_before": "found before",
        "found_after": "after",
        "false_alarms_before": "false alarms before",
        "false_alarms_after": "after",
        "worst_before": "worst before",
        "worst_after": "after",
    },
}
TITLES["states-unseen"] = TITLES["states"]
Row = dict[str, str]


def filled(text: str) -> str:
    """The page with every table made anew."""
    return MARK.sub(lambda found: found[1] + table(found[2], keys(found[3])) + found[5], text)


def keys(text: str) -> Row:
    return dict(one.split("=", 1) for one in text.split())


def table(kind: str, chosen: Row) -> str:
    folder = chosen.pop("of", "")
    if kind in TITLES:
        titles = TITLES[kind]
        rows = selected(read(folder, f"{kind}.csv"), chosen)
        return markdown(list(titles.values()), [[row[key] for key in titles] for row in rows])
    show = chosen.pop("show", "auc" if kind == "detection" else "source")
    rows = read(folder, "summary.csv" if kind == "detection" else "damage.csv")
    rows = selected(rows, chosen)
    if not rows:
        return "No results yet.\n"
    return detection(rows, show) if kind == "detection" else damage(rows, show)


def selected(rows: list[Row], chosen: Row) -> list[Row]:
    """The rows that have one of the values chosen, in every column that some are chosen of."""
    for key, value in chosen.items():
        rows = [row for row in rows if row[key] in value.split("|")]
    return rows


def read(folder: str, name: str) -> list[Row]:
    path = HERE / "detection" / folder / name
    if not path.is_file():
        raise SystemExit(f"docs/detection.md: there is no {path.relative_to(HERE)}")
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def detection(rows: Sequence[Row], show: str) -> str:
    """Methods down, spreads of labels across, the separator where there is one last."""
    levels = list(dict.fromkeys((row["scheme"], row["level"]) for row in rows))
    levels.sort(key=lambda one: (one[0] != "paper", float(one[1])))
    heads = [("lambda " if scheme == "paper" else f"{scheme} ") + level for scheme, level in levels]
    places = {(row["method"], row["scheme"], row["level"]): row for row in rows}
    methods = [name for name in dict.fromkeys(row["method"] for row in rows) if name != "none"]
    known = [(row["method"], float(row[show])) for row in rows if row[show]]
    means = {
        name: sum(values) / len(values)
        for name in methods
        if (values := [value for method, value in known if method == name])
    }
    better = -1 if show != "false_alarms" else 1
    lines = []
    for name in sorted(means, key=lambda name: (name != FIRST, better * means[name], name)):
        found = [places.get((name, *level)) for level in levels]
        lines.append([name, *(cell(row, show) for row in found)])
    taught = [next((places[key] for key in places if key[1:] == level), None) for level in levels]
    if show == "auc" and any(row and row["separator"] for row in taught):
        lines.append(["taught separator", *(row["separator"] if row else "" for row in taught)])
    return markdown(["method", *heads], lines)


def cell(row: Row | None, show: str) -> str:
    if row is None or not row[show]:
        return ""
    return f"{row[show]} ({row[f'worst_{show}']})"


def damage(rows: Sequence[Row], show: str) -> str:
    """Defenses down, lambdas across, the lines to compare with first."""
    levels = sorted({row["lambda"] for row in rows}, key=float)
    places = {(row["defense"], row["lambda"]): row for row in rows}
    names = list(dict.fromkeys(row["defense"] for row in rows))
    names.sort(key=lambda name: (name != "none", name != FIRST))
    lines = []
    known = (("no attack", "no_attack"), ("floor", "floor")) if show == "source" else ()
    for title, column in known:
        beside = [next(row for row in rows if row["lambda"] == level) for level in levels]
        lines.append([title, *(row[column] for row in beside)])
    for name in names:
        found = [places.get((name, level)) for level in levels]
        title = "no defense" if name == "none" else name
        lines.append([title, *(row[show] if row else "" for row in found)])
    return markdown(["defense", *(f"lambda {level}" for level in levels)], lines)


def markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    made = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    made += ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join(made) + "\n"


def main() -> None:
    text = PAGE.read_text()
    made = filled(text)
    if "--check" in sys.argv[1:]:
        if made != text:
            raise SystemExit("docs/detection.md is stale: run python docs/generate_detection.py")
        return
    PAGE.write_text(made)


if __name__ == "__main__":
    main()
