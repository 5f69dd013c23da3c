"""Two states of a method on the same rounds: what changed, by data set and kind of attack.

    python benchmarks/detection_compare.py before.csv after.csv [--by tau] -o docs/detection

The files are those of ``detection.py``, run at two states of the code with the same ``--cache``;
the last is the state after. Only cells of both count. Prints those that changed most, and writes
``states.csv``, by data set or also by another column.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

from _bars import ALIKE, MIXED, PURE
from _results import Results, Row, over, write
from detection import KEYS, VALUES

CELL = [key for key in KEYS if key != "method"]
MEASURES = ("auc", "found", "false_alarms")
KINDS = {"none": ("none",), "pure flips": PURE, "mixed flips": MIXED + ALIKE}
REST = "on the round"
SHOWN = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="the last is the state after")
    parser.add_argument("--method", default="lomar-auto")
    parser.add_argument("--by", choices=CELL[1:], help="lines of their own for each of these")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    *before, after = given.files
    if not before:
        parser.error("name two files: before and after")
    old = read(before, given.method)
    new = read([after], given.method)
    rows = compared(old, new, given.by)
    for key in sorted(old.keys() & new.keys()):
        was, now = old[key], new[key]
        if any(moved(was[name], now[name]) for name in MEASURES):
            words = (f"{name} {was[name] or '-'} -> {now[name] or '-'}" for name in MEASURES)
            print(" ".join(key), *words, sep="  ")
    given.output.mkdir(parents=True, exist_ok=True)
    write(given.output / "states.csv", rows)


def read(paths: Iterable[Path], method: str) -> dict[tuple[str, ...], Row]:
    """Rows of a method by cell; rows where it did not apply are left out."""
    return {
        tuple(row[key] for key in CELL): row
        for path in paths
        for row in Results(path, KEYS, VALUES).read()
        if row["method"] == method and row["false_alarms"]
    }


def compared(
    before: dict[tuple[str, ...], Row], after: dict[tuple[str, ...], Row], by: str | None = None
) -> list[dict[str, str]]:
    """A line a data set and kind of attack, and one of all attacks together.

    ``by`` is another column whose values have lines of their own.
    """
    both = [key for key in before if key in after]
    names = {key: key[0] if by is None else f"{key[0]}, {by} {before[key][by]}" for key in both}
    lines = []
    for data in dict.fromkeys(names.values()):
        for kind in (*KINDS, REST, "all"):
            chosen = [
                key
                for key in both
                if names[key] == data and kind in ("all", kind_of(before[key]["attack"]))
            ]
            if not chosen:
                continue
            line = {"data": data, "attacks": kind, "rounds": str(len(chosen))}
            for state, rows in (("before", before), ("after", after)):
                here = [rows[key] for key in chosen]
                line |= {f"{name}_{state}": over(fmean, here, name) for name in MEASURES}
                line[f"worst_{state}"] = over(max, here, "false_alarms")
            lines.append(line)
    return lines


def kind_of(attack: str) -> str:
    return next((kind for kind, attacks in KINDS.items() if attack in attacks), REST)


def moved(was: str, now: str) -> bool:
    return abs(float(was or 0) - float(now or 0)) > SHOWN


if __name__ == "__main__":
    main()
