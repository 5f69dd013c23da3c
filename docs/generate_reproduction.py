"""Fill the tables of docs/reproduction.md from the result files beside it.

A table stands between ``<!-- csv FILE key=value ... -->`` and ``<!-- end -->``. The keys:
``columns`` (measures of results.csv, comma-separated), ``along`` (a column whose values go across,
for one measure), ``paper`` (a table of the paper whose numbers stand beside), and any column of
the file to choose rows by. Without ``--check`` the page is rewritten, with it a stale page is an
error. The files are what ``lomar report`` writes as results.csv.

    python docs/generate_reproduction.py [--check]
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

from lomar_cli.experiments.printed import Printed

HERE = Path(__file__).parent
PAGE = HERE / "reproduction.md"
NAMES = {"source": "source", "false_alarms": "false alarms", "auc": "AUC"}
MARK = re.compile(
    r"(<!-- csv (\S+)((?: [^\s=]+=(?:\"[^\"]*\"|\S+))*) -->\n)(.*?)(<!-- end -->)", re.S
)
Row = dict[str, str]


def filled(text: str) -> str:
    """The page with every table made anew."""
    return MARK.sub(lambda match: match[1] + _table(match[2], _keys(match[3])) + match[5], text)


def _keys(text: str) -> dict[str, str]:
    return {key: value.strip('"') for key, value in re.findall(r"(\S+?)=(\"[^\"]*\"|\S+)", text)}


def _table(name: str, keys: dict[str, str]) -> str:
    with (HERE / "reproduction" / name).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = keys.pop("columns").split(",")
    along, paper = keys.pop("along", None), keys.pop("paper", None)
    for key, value in keys.items():
        wanted = value.split("|")
        rows = [row for row in rows if row[key] in wanted]
    if not rows:
        raise SystemExit(f"{name}: no row has {keys}")
    if along:
        return _across(rows, along, columns[0])
    printed = Printed(paper) if paper else None
    heads, lines = ["defense"], []
    for column in columns:
        heads += [
            f"{NAMES.get(column, column)}{', paper' if own else ''}"
            for own in ((True, False) if printed else (False,))
        ]
    for row in rows:
        cells = [row["defense"]]
        for column in columns:
            if printed:
                value = printed.of(row["setting"], row["defense"], column)
                cells.append("" if value is None else f"{value:.3f}")
            cells.append(_value(row, column))
        lines.append(cells)
    return _markdown(heads, lines)


def _across(rows: list[Row], along: str, measure: str) -> str:
    """Defenses down, the values of ``along`` across; an unattacked run has one value for all."""
    values = list(dict.fromkeys(row[along] for row in rows if row["attack"] != "none"))
    lines = []
    for defense in dict.fromkeys(row["defense"] for row in rows):
        mine = [row for row in rows if row["defense"] == defense]
        cells = []
        for value in values:
            fitting = [row for row in mine if row[along] == value or row[along] == ""]
            cells.append(_value(fitting[0], measure) if fitting else "")
        lines.append([defense, *cells])
    return _markdown([NAMES.get(measure, measure), *values], lines)


def _value(row: Row, column: str) -> str:
    if not row[column]:
        return "n/a" if row["not_applicable"] else ""
    spread = row[f"{column}_sd"]
    return f"{float(row[column]):.3f}" + (f" ± {float(spread):.3f}" if spread else "")


def _markdown(heads: list[str], lines: list[list[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(heads) - 1)
    return "".join("| " + " | ".join(cells) + " |\n" for cells in (heads, rule, *lines))


def main() -> None:
    before = PAGE.read_text()
    after = filled(before)
    if "--check" in sys.argv[1:]:
        if before != after:
            raise SystemExit("docs/reproduction.md is stale: run docs/generate_reproduction.py")
        return
    PAGE.write_text(after)


if __name__ == "__main__":
    main()
