"""How a method breaks down as attackers become more: a table and a figure over their share.

    python benchmarks/detection.py -o breakdown.csv --taus 0.05,0.1,0.2,0.3,0.45,0.6,0.75,0.9,1 \\
        --schemes 0,0.5,0.9 --attacks pure,mixed,backdoor,boosted,sign-flip,noise,alie \\
        --methods lomar-auto --seeds 1
    python benchmarks/breakdown_report.py breakdown.csv -o docs/detection

Writes ``breakdown.csv`` (a row a data set, spread of labels, attack and share of attackers among
all clients: the mean over rounds and seeds) and ``breakdown.svg``.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from _results import Results, Row, write
from _svg import save_svg
from detection import KEYS, VALUES
from detection_report import FIRST

from lomar_cli.plots.canvas import legend, panels, styles

GROUP = ("data", "scheme", "level", "attack")
SHOWN = ("found", "false_alarms")
TITLES = {"found": "found", "false_alarms": "false alarms"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--method", default=FIRST)
    parser.add_argument("-o", "--output", type=Path, default=Path())
    given = parser.parse_args()
    rows = [row for row in Results(given.results, KEYS, VALUES).read() if row["found"]]
    rows = [row for row in rows if row["method"] == given.method]
    if not rows:
        raise SystemExit(f"{given.results}: holds no attacked rounds of {given.method}")
    given.output.mkdir(parents=True, exist_ok=True)
    made = by_share(rows)
    write(given.output / "breakdown.csv", made)
    figure(made, given.output / "breakdown.svg")


def by_share(rows: Sequence[Row]) -> list[Row]:
    """The mean of each number over rounds and seeds, by how many for each honest client."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[(*(row[key] for key in GROUP), row["tau"])].append(row)
    made = []
    for (*key, tau), found in sorted(groups.items(), key=lambda item: (item[0][:-1], item[0][-1])):
        share = float(tau) / (1 + float(tau))
        said = {name: f"{fmean(float(row[name]) for row in found):.3f}" for name in SHOWN}
        about = dict(zip(GROUP, key, strict=True))
        made.append({**about, "share": f"{share:.3f}", "rounds": str(len(found)), **said})
    made.sort(key=lambda row: ([row[key] for key in GROUP], float(row["share"])))
    return made


def figure(rows: Sequence[Row], path: Path) -> None:
    """A row of panels a data set and spread, a column a number, a line an attack."""
    places = list(dict.fromkeys((row["data"], row["scheme"], row["level"]) for row in rows))
    attacks = list(dict.fromkeys(row["attack"] for row in rows))
    look = styles(attacks)
    page, made = panels(len(places), len(SHOWN), 3.2, 1.7, sharex=True, sharey=True)
    for line, place in zip(made, places, strict=True):
        for axes, shown in zip(line, SHOWN, strict=True):
            data, scheme, level = place
            spread = f"lambda {level}" if scheme == "paper" else f"{scheme} {level}"
            axes.set_title(f"{data}, {spread}: {TITLES[shown]}", fontsize=8)
            axes.set_ylim(-0.04, 1.04)
            for attack in attacks:
                own = [
                    row
                    for row in rows
                    if (row["data"], row["scheme"], row["level"]) == place
                    and row["attack"] == attack
                ]
                at = [float(row["share"]) for row in own]
                axes.plot(at, [float(row[shown]) for row in own], label=attack, **look[attack])
    for axes in made[-1]:
        axes.set_xlabel("attackers among all clients")
    legend(page, [axes for line in made for axes in line], attacks)
    save_svg(page, path)


if __name__ == "__main__":
    main()
