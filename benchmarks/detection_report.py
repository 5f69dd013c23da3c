"""Tables and a figure of what ``detection.py`` has measured.

    python benchmarks/detection_report.py detection.csv -o docs/detection [--method lomar-auto]
    python benchmarks/detection_report.py docs/detection/results.csv.xz -o docs/detection

Writes ``bars.csv`` (what a method is asked to reach and in how many cells it does),
``summary.csv`` (mean and worst of every method by data set, spread of labels and attack, over
shares of attackers, rounds and seeds) and ``detection.svg``.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from _bars import judged
from _results import Results, Row, over, write
from _svg import save_svg
from detection import KEYS, VALUES

from lomar_cli.plots.canvas import legend, panels, styles

GROUP = ("data", "scheme", "level", "attack", "method")
FIRST = "lomar-auto"
# The figure shows these attacks, the separator beside mixed flips, and the best methods.
SHOWN = ("pure", "mixed", "mixed-4:9", "alie", "min-max-decorrelated", "framing")
LINES = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--method", help="judged by the bars (default: lomar-auto where it is)")
    parser.add_argument("-o", "--output", type=Path, default=Path())
    given = parser.parse_args()
    rows = Results(given.results, KEYS, VALUES).read()
    if not rows:
        raise SystemExit(f"{given.results}: holds no results; run benchmarks/detection.py first")
    methods = list(dict.fromkeys(row["method"] for row in rows))
    method = given.method or (FIRST if FIRST in methods else "lomar")
    given.output.mkdir(parents=True, exist_ok=True)
    write(given.output / "bars.csv", judged(rows, method))
    made = summary(rows)
    write(given.output / "summary.csv", made)
    figure(made, methods, method, given.output / "detection.svg")


def summary(rows: Sequence[Row]) -> list[Row]:
    """A row a data set, spread, attack and method; cells without a number are not counted."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row["n"] and not row["reason"]:
            groups[tuple(row[key] for key in GROUP)].append(row)
    made = []
    for key, found in groups.items():
        said = {
            "cells": str(len(found)),
            "auc": over(fmean, found, "auc"),
            "worst_auc": over(min, found, "auc"),
            "found": over(fmean, found, "found"),
            "worst_found": over(min, found, "found"),
            "false_alarms": over(fmean, found, "false_alarms"),
            "worst_false_alarms": over(max, found, "false_alarms"),
            "separator": over(fmean, found, "separator"),
        }
        made.append({**dict(zip(GROUP, key, strict=True)), **said})
    return made


def figure(rows: Sequence[Row], methods: Sequence[str], first: str, path: Path) -> None:
    """AUC by lambda, a row of panels a data set and a column an attack."""
    spread = [row for row in rows if row["scheme"] == "paper" and row["auc"]]
    data = list(dict.fromkeys(row["data"] for row in spread))
    attacks = [name for name in SHOWN if any(row["attack"] == name for row in spread)]
    if not data or not attacks:
        return
    ranked = sorted(methods, key=lambda name: (name != first, -_mean_auc(spread, name, attacks)))
    drawn = [name for name in ranked if name != "none"][:LINES]
    look = styles([*drawn, "taught separator"], ["taught separator"])
    page, made = panels(len(data), len(attacks), 2.3, 2.0, sharex=True, sharey=True)
    for line, name in zip(made, data, strict=True):
        for axes, attack in zip(line, attacks, strict=True):
            here = [row for row in spread if (row["data"], row["attack"]) == (name, attack)]
            axes.set_title(f"{name}, {attack}", fontsize=8)
            axes.set_ylim(-0.04, 1.04)
            if not here:
                axes.text(0.45, 0.5, "not run", ha="center", va="center", fontsize=8, color="gray")
            for method in drawn:
                own = [row for row in here if row["method"] == method]
                own.sort(key=lambda row: float(row["level"]))
                at = [float(row["level"]) for row in own]
                axes.plot(at, [float(row["auc"]) for row in own], label=method, **look[method])
            best = {
                float(row["level"]): float(row["separator"]) for row in here if row["separator"]
            }
            if best:
                at = sorted(best)
                name_ = "taught separator"
                axes.plot(at, [best[x] for x in at], label=name_, **look[name_])
    for axes in made[-1]:
        axes.set_xlabel("lambda")
    for line in made:
        line[0].set_ylabel("AUC")
    legend(page, [axes for line in made for axes in line], drawn)
    save_svg(page, path)


def _mean_auc(rows: Sequence[Row], method: str, attacks: Sequence[str]) -> float:
    values = [
        float(row["auc"]) for row in rows if row["method"] == method and row["attack"] in attacks
    ]
    return fmean(values) if values else 0.0


if __name__ == "__main__":
    main()
