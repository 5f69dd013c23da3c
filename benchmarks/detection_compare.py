"""Two states of a method on the same rounds: what changed, by data set and kind of attack.

    python benchmarks/detection_compare.py before.csv after.csv -o docs/detection

The files are those of ``detection.py``, run at two states of the code with the same ``--cache``;
the last is the state after. Only cells of both count. Prints those that changed most, and writes
``states.csv``.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

Row = dict[str, str]
KEYS = ("data", "scheme", "level", "clients", "tau", "round", "seed", "attack")
MEASURES = ("auc", "found", "false_alarms")
KINDS = ("none", "pure flips", "mixed flips", "on the round")
SHOWN = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="the last is the state after")
    parser.add_argument("--method", default="lomar-auto")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    *before, after = given.files
    if not before:
        parser.error("name two files: before and after")
    old = read(before, given.method)
    new = read([after], given.method)
    rows = compared(old, new)
    for key in sorted(old.keys() & new.keys()):
        was, now = old[key], new[key]
        if any(moved(was[name], now[name]) for name in MEASURES):
            words = (f"{name} {was[name] or '-'} -> {now[name] or '-'}" for name in MEASURES)
            print(" ".join(key), *words, sep="  ")
    given.output.mkdir(parents=True, exist_ok=True)
    with (given.output / "states.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read(paths: Iterable[Path], method: str) -> dict[tuple[str, ...], Row]:
    """Rows of a method by cell; rows where it did not apply are left out."""
    found = {}
    for path in paths:
        with path.open(newline="") as stream:
            for row in csv.DictReader(stream):
                if row["method"] == method and row["false_alarms"]:
                    found[tuple(row[key] for key in KEYS)] = row
    return found


def compared(
    before: dict[tuple[str, ...], Row], after: dict[tuple[str, ...], Row]
) -> list[dict[str, str]]:
    """A line a data set and kind of attack, and one of all attacks together."""
    both = [key for key in before if key in after]
    lines = []
    for data in dict.fromkeys(key[0] for key in both):
        for kind in (*KINDS, "all"):
            chosen = [key for key in both if key[0] == data and kind in ("all", kind_of(key[-1]))]
            if not chosen:
                continue
            line = {"data": data, "attacks": kind, "rounds": str(len(chosen))}
            for state, rows in (("before", before), ("after", after)):
                here = [rows[key] for key in chosen]
                line |= {f"{name}_{state}": mean(here, name) for name in MEASURES}
                line[f"worst_{state}"] = f"{max(float(row['false_alarms']) for row in here):.3f}"
            lines.append(line)
    return lines


def kind_of(attack: str) -> str:
    for kind in KINDS[1:3]:
        if attack.startswith(kind.split()[0]):
            return kind
    return "none" if attack == "none" else KINDS[3]


def mean(rows: Sequence[Row], name: str) -> str:
    values = [float(row[name]) for row in rows if row[name]]
    return f"{statistics.fmean(values):.3f}" if values else ""


def moved(was: str, now: str) -> bool:
    return abs(float(was or 0) - float(now or 0)) > SHOWN


if __name__ == "__main__":
    main()
