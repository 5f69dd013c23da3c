"""Fill the tables of docs/reproduction.md from the result files beside it.

A table stands between ``<!-- csv FILE key=value ... -->`` and ``<!-- end -->``. The keys:
``columns`` (measures of results.csv, comma-separated); ``along`` (columns whose values go across,
for one measure), ``down`` (what goes down, otherwise the defense); ``paper`` (a table of the
paper whose numbers stand beside, or with ``alone`` alone; ``called`` is its name for the setting);
and any column of the file to choose rows by, ``a|b`` for two
values. The page is rewritten; with ``--check`` a stale page is an error. The files are what
``lomar report`` writes as results.csv, less the columns of single labels (fig2.csv: as map.csv).

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
NAMES = {"false_alarms": "false alarms", "auc": "AUC", "lambda": "lambda"}
PAIR = r"[^\s=]+=(?:\"[^\"]*\"|[^\s\"]+)"
MARK = re.compile(rf"(<!-- csv (\S+)((?: {PAIR})*) -->\n)(.*?)(<!-- end -->)", re.S)
Row = dict[str, str]


def filled(text: str) -> str:
    """The page with every table made anew."""
    if left := re.search(r"\b[A-Z]+_[A-Z_]+\b", re.sub(r"`[^`]*`", "", text)):
        raise SystemExit(f"docs/reproduction.md: {left[0]} is still to be written")
    return MARK.sub(lambda match: match[1] + _table(match[2], _keys(match[3])) + match[5], text)


def _keys(text: str) -> dict[str, str]:
    return {
        key: value.strip('"') for key, value in re.findall(r"(\S+?)=(\"[^\"]*\"|[^\s\"]+)", text)
    }


def _table(name: str, keys: dict[str, str]) -> str:
    path = HERE / "reproduction" / name
    if not path.is_file():
        raise SystemExit(f"docs/reproduction.md: there is no reproduction/{name}")
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = keys.pop("columns").split(",")
    along, down = keys.pop("along", ""), keys.pop("down", "defense")
    paper, alone, called = (keys.pop(key, "") for key in ("paper", "alone", "called"))
    for key, value in keys.items():
        rows = [row for row in rows if row[key] in value.split("|")]
    if not rows:
        raise SystemExit(f"{name}: no row has {keys}")
    if along:
        return _across(rows, along.split(","), down, columns[0])
    if alone:
        return _printed(rows, columns, Printed(paper), called)
    return _plain(rows, columns, Printed(paper) if paper else None, down)


def _printed(rows: list[Row], columns: list[str], printed: Printed, called: str) -> str:
    """The paper's numbers for these rows, where it has any."""
    heads = [NAMES.get(column, column.removeprefix("per_label.")) for column in columns]
    lines = []
    for row in rows:
        values = [printed.of(called or row["setting"], row["defense"], c) for c in columns]
        if any(value is not None for value in values):
            cells = ["" if value is None else f"{value:.3f}" for value in values]
            lines.append([row["defense"], *cells])
    return _markdown(["the paper", *heads], lines)


def _plain(rows: list[Row], columns: list[str], printed: Printed | None, down: str) -> str:
    """A line a row; the paper's number before each of ours."""
    heads = [down]
    for column in columns:
        title = NAMES.get(column, column.removeprefix("per_label."))
        heads += [f"{title}, paper", title] if printed else [title]
    lines = []
    for row in rows:
        cells = [row[down]]
        for column in columns:
            if printed:
                value = printed.of(row["setting"], row["defense"], column)
                cells.append("" if value is None else f"{value:.3f}")
            cells.append(_value(row, column))
        lines.append(cells)
    return _markdown(heads, lines)


def _across(rows: list[Row], along: list[str], down: str, measure: str) -> str:
    """Values of ``along`` across; a run without attack stands at no share, so it fills its line."""
    points = list(dict.fromkeys(tuple(row[key] for key in along) for row in rows))
    points = [point for point in points if all(point)]
    lines = []
    for name in dict.fromkeys(row[down] for row in rows):
        cells = []
        for point in points:
            pairs = list(zip(along, point, strict=True))
            fitting = [
                row
                for row in rows
                if row[down] == name and all(row[key] in (value, "") for key, value in pairs)
            ]
            if len(fitting) > 1:
                raise SystemExit(f"{name}, {point}: {len(fitting)} rows for one cell; choose more")
            cells.append(_value(fitting[0], measure) if fitting else "")
        lines.append([name, *cells])
    heads = [", ".join(_said(*pair) for pair in zip(along, point, strict=True)) for point in points]
    return _markdown([NAMES.get(measure, measure), *heads], lines)


def _said(key: str, value: str) -> str:
    return f"lambda {float(value):g}" if key == "lambda" else value


def _value(row: Row, column: str) -> str:
    if not row.get(column):
        return "n/a" if row.get("not_applicable") else ""
    spread = row.get(f"{column}_sd") or row.get(f"{column} sd")
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
