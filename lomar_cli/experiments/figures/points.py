"""Accuracy of every defense where a setting has one place: points, the paper's beside them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import numpy as np

from lomar_cli.experiments.figures.lines import Drawn
from lomar_cli.experiments.layouts import ACCURACIES
from lomar_cli.experiments.printed import Printed
from lomar_cli.experiments.results import Place, Results
from lomar_cli.plots.canvas import COLOURS, legend, number, panels

ACROSS = 4
MARKS = {"overall": "o", "source": "D", "other": "s"}


def by_defense(results: Results) -> Iterator[Drawn]:
    """One figure of all settings that have a single place: a panel a setting."""
    places = [
        mine[0]
        for setting in results.settings
        if len(mine := results.attacked(setting)) == 1 and _measured(results, mine[0])
    ]
    if not places:
        return
    paper = Printed("table3") if results.layout == "table3" else None
    names = [n for n in results.defenses if any(_has(results, place, n) for place in places)]
    across = min(ACROSS, len(places))
    height = 0.9 + 0.42 * len(names)
    figure, grid = panels(-(-len(places) // across), across, 3.2, height, sharey=True)
    row = [axes for line in grid for axes in line]
    for axes in row[len(places) :]:
        axes.set_visible(False)
    printed = False
    for axes, place in zip(row, places, strict=False):
        there = {group.point.defense: group for group in results.at(place)}
        for turn, (measure, marker) in enumerate(MARKS.items()):
            # Above and below one another, so that equal values do not hide.
            shift = 0.22 * (turn - 1)
            groups = [there.get(name) for name in names]
            mean = [number(group.mean(measure) if group else None) for group in groups]
            spread = [number(group.spread(measure) if group else None) for group in groups]
            if np.isnan(mean).all():
                continue
            at = np.arange(len(names)) + shift
            axes.errorbar(
                mean,
                at,
                xerr=np.nan_to_num(spread),
                fmt=marker,
                color=COLOURS[turn],
                markersize=5.5,
                elinewidth=1.2,
                label=measure,
            )
            if paper is not None and paper.has(place.setting):
                said = [number(paper.of(place.setting, name, measure)) for name in names]
                printed = True
                axes.plot(
                    said,
                    at,
                    marker,
                    markerfacecolor="none",
                    color=COLOURS[turn],
                    markersize=5.5,
                    label=f"{measure}, paper",
                )
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(-0.03, 1.03)
        axes.set_xlabel("accuracy")
        title = textwrap.fill(f"{place.setting}: {place.label}", 46)
        axes.set_title(title, fontsize=8.5, loc="left")
    legend(figure, row, [*MARKS, *(f"{measure}, paper" for measure in MARKS)])
    beside = "; hollow: the paper's" if printed else ""
    yield "by-defense", f"Accuracy by defense{beside}", figure


def _measured(results: Results, place: Place) -> bool:
    return any(g.values(m) for g in results.at(place) for m in ACCURACIES)


def _has(results: Results, place: Place, name: str) -> bool:
    return any(group.point.defense == name for group in results.at(place))
