"""Tables of what ``damage.py`` has measured.

    python benchmarks/damage_report.py damage.csv -o docs/detection [--defense lomar-auto]

Writes ``damage.csv``, means over seeds of every setting and defense with the lines to compare with
("no attack", "floor") beside it, and ``damage-bars.csv``: in how many settings a defense loses at
most 0.02 of the accuracy on the source label against the floor, and against the best other.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from _results import Results, Row, over, write
from damage import FLOOR, KEYS, NO_ATTACK, NONE, VALUES

SETTING = ("data", "lambda", "flip", "tau", "rounds")
FIRST = "lomar-auto"
SLACK = 0.02
LOW = ("0", "0.3", "0.5")
Picks = Callable[[Row], bool]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--defense", help="judged by the bars (default: lomar-auto where it is)")
    parser.add_argument("-o", "--output", type=Path, default=Path())
    given = parser.parse_args()
    rows = Results(given.results, KEYS, VALUES).read()
    if not rows:
        raise SystemExit(f"{given.results}: holds no results; run benchmarks/damage.py first")
    names = {row["defense"] for row in rows}
    given.output.mkdir(parents=True, exist_ok=True)
    made = summary(rows)
    write(given.output / "damage.csv", made)
    write(
        given.output / "damage-bars.csv",
        judged(made, given.defense or (FIRST if FIRST in names else NONE)),
    )


def summary(rows: Sequence[Row]) -> list[Row]:
    """A row a setting, attack and defense: means over seeds; runs without a number are left out."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row["source"]:
            groups[tuple(row[key] for key in (*SETTING, "attack", "defense"))].append(row)
    beside = {
        key: over(fmean, found, "source")
        for key, found in groups.items()
        if key[-2] in (NO_ATTACK, FLOOR)
    }
    made = []
    for key, found in groups.items():
        *setting, attack, _ = key
        if attack in (NO_ATTACK, FLOOR):
            continue
        lines = {
            name.replace(" ", "_"): beside.get((*setting, name, NONE), "")
            for name in (NO_ATTACK, FLOOR)
        }
        said = {
            name: over(fmean, found, name)
            for name in ("source", "overall", "found", "false_alarms")
        }
        named = dict(zip((*SETTING, "attack", "defense"), key, strict=True))
        made.append({**named, "seeds": str(len(found)), **lines, **said})
    return made


def judged(rows: Sequence[Row], defense: str) -> list[Row]:
    """A row a bar: the settings in which the defense reaches it, and its greatest loss."""
    own = [row for row in rows if row["defense"] == defense]
    bars: list[tuple[str, str, Picks]] = [
        ("framing", "floor", lambda row: row["attack"] == "framing"),
        (
            "mixed flips 4:9, lambda <= 0.5",
            "floor",
            lambda row: row["attack"] == "mixed" and row["flip"] == "4:9" and row["lambda"] in LOW,
        ),
        *(
            (f"lambda {level}, all attacks", "floor", lambda row, at=level: row["lambda"] == at)
            for level in sorted({row["lambda"] for row in own}, key=float)
        ),
        ("all attacks", "best other defense", lambda row: True),
    ]
    made = []
    for name, against, picks in bars:
        losses = [
            loss
            for row in own
            if picks(row) and (loss := _loss(row, rows, against == "floor")) is not None
        ]
        if losses:
            made.append(
                {
                    "defense": defense,
                    "bar": name,
                    "asked": f"source accuracy >= {against} - {SLACK}",
                    "settings": str(len(losses)),
                    "met": str(sum(loss <= SLACK + 1e-9 for loss in losses)),
                    "greatest_loss": f"{max(losses):.3f}",
                }
            )
    return made


def _loss(row: Row, rows: Sequence[Row], floor: bool) -> float | None:
    """How far below the floor, or the best other defense of the same setting, a run ends."""
    if floor:
        return float(row["floor"]) - float(row["source"]) if row["floor"] else None
    same = (*SETTING, "attack")
    others = [
        float(other["source"])
        for other in rows
        if other["defense"] != row["defense"] and all(other[key] == row[key] for key in same)
    ]
    return max(others) - float(row["source"]) if others else None


if __name__ == "__main__":
    main()
