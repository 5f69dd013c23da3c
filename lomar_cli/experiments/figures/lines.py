"""Accuracy as lines: along lambda, along tau, by round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lomar_cli.experiments.figures.heat import Panel, heat_maps
from lomar_cli.experiments.results import Group, Place, Results, deviation, unique
from lomar_cli.plots.canvas import (
    NAMES,
    Style,
    curve,
    floor,
    legend,
    number,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Drawn = tuple[str, str, "Figure"]


@dataclass(frozen=True)
class Axis:
    """An axis of the sweep: where a place stands on it, and how it is called."""

    name: str
    label: str
    of: Callable[[Place], float]

    def said(self, place: Place) -> str:
        return f"{self.name} {_share(place) if self.name == 'tau' else f'{self.of(place):g}'}"


# So many lines can be told apart.
MANY = 12
LAMBDA = Axis("lambda", "imbalance lambda", lambda place: place.imbalance)
TAU = Axis("tau", "share of malicious clients tau", lambda place: place.share)


def measured(groups: Sequence[Group]) -> list[str]:
    """The accuracies to draw: on source labels only where an attack has some."""
    return [m for m in NAMES if any(group.values(m) for group in groups)]


def along_axes(results: Results, looks: dict[str, Style]) -> Iterator[Drawn]:
    """Accuracy against tau and against lambda; the other axis makes further panels, never less.

    More defenses than lines can be told apart are a heat map over both.
    """
    if len(looks) > MANY:
        yield from _as_maps(results)
        return
    for axis, other in ((TAU, LAMBDA), (LAMBDA, TAU)):
        simple: list[list[Place]] = []
        for setting in results.settings:
            places = results.attacked(setting)
            for kind in unique((p.attack, p.flips) for p in places if p.attacked):
                mine = [p for p in places if (p.attack, p.flips) == kind]
                if len({axis.of(p) for p in mine}) < 2:
                    continue
                levels = unique(other.of(p) for p in mine)
                if len(levels) > 1:
                    yield _faceted(results, looks, mine, axis, other)
                else:
                    simple.append(mine)
        if simple:
            yield _stacked(results, looks, simple, axis)


def _as_maps(results: Results) -> Iterator[Drawn]:
    """A row a defense, a column a place; overall and source accuracy beside each other."""
    for setting in results.settings:
        places = results.attacked(setting)
        for kind in unique((p.attack, p.flips) for p in places if p.attacked):
            mine = [p for p in places if (p.attack, p.flips) == kind]
            if len(mine) < 2:
                continue
            axes = [axis for axis in (LAMBDA, TAU) if len({axis.of(p) for p in mine}) > 1]
            columns = ["\n".join(axis.said(place) for axis in axes) for place in mine]
            made = []
            for measure in measured([group for place in mine for group in results.at(place)]):
                cells: list[list[float | None]] = []
                for name in results.defenses:
                    there = [_group(results, place, name) for place in mine]
                    cells.append([group.mean(measure) if group else None for group in there])
                made.append(Panel(NAMES[measure], cells))
            figure = heat_maps(made, results.defenses, columns, cell=(0.95, 0.3))
            name = f"by-place-{tag(setting)}-{tag(kind[0])}"
            yield name, f"{setting}, {kind[0]}: accuracy of every defense", figure


def _group(results: Results, place: Place, defense: str) -> Group | None:
    return next((g for g in results.at(place) if g.point.defense == defense), None)


def _stacked(
    results: Results, looks: dict[str, Style], lines: list[list[Place]], axis: Axis
) -> Drawn:
    """A row of panels a setting and attack: overall and source accuracy."""
    measures = measured([g for line in lines for place in line for g in results.at(place)])
    figure, grid = panels(len(lines), len(measures), 4.2, 2.6, sharey="col", sharex="col")
    for row, line in zip(grid, lines, strict=True):
        for axes, measure in zip(row, measures, strict=True):
            _curves(axes, results, line, axis, measure, looks)
            axes.set_title(f"{line[0].setting}: {line[0].attack}", fontsize=9, loc="left")
    _finish(figure, grid, [NAMES[m] for m in measures], axis.label, by_row=False)
    _floors(grid, by_row=False)
    return f"by-{axis.name}", f"Accuracy against the {axis.label}", figure


def _faceted(
    results: Results, looks: dict[str, Style], places: list[Place], axis: Axis, other: Axis
) -> Drawn:
    """A column of panels a value of the other axis, a row a measure."""
    first = places[0]
    measures = measured([g for place in places for g in results.at(place)])
    levels: dict[float, list[Place]] = {}
    for place in places:
        levels.setdefault(other.of(place), []).append(place)
    figure, grid = panels(len(measures), len(levels), 2.5, 2.5, sharey="row", sharex="col")
    for row, measure in zip(grid, measures, strict=True):
        for axes, level in zip(row, sorted(levels), strict=True):
            _curves(axes, results, levels[level], axis, measure, looks)
            axes.set_title(other.said(levels[level][0]), fontsize=9)
    _finish(figure, grid, [NAMES[m] for m in measures], axis.label, by_row=True)
    _floors(grid, by_row=True)
    name = f"by-{axis.name}-{tag(first.setting)}-{tag(first.attack)}"
    return name, f"{first.setting}, {first.attack}: accuracy against the {axis.label}", figure


def _curves(
    axes: Axes,
    results: Results,
    places: list[Place],
    axis: Axis,
    measure: str,
    looks: dict[str, Style],
) -> None:
    for turn, (defense, look) in enumerate(looks.items()):
        found: dict[float, list[float]] = {}
        for place in places:
            for group in results.at(place):
                if group.point.defense == defense:
                    found.setdefault(axis.of(place), []).extend(group.values(measure))
        if not any(found.values()):
            continue
        at = sorted(found)
        mean = [number(float(np.mean(found[x])) if found[x] else None) for x in at]
        spread = [number(deviation(found[x])) for x in at]
        curve(axes, at, mean, spread, look, apart(turn, looks), defense)
    axes.set_xticks(sorted({axis.of(place) for place in places}))
    if axis is TAU:
        axes.xaxis.set_major_formatter(lambda value, _: _shown(value, places))
    axes.set_xmargin(0.06)


def by_round(results: Results, looks: dict[str, Style]) -> Iterator[Drawn]:
    """Accuracy by round, a panel a place: one figure while every setting has one place."""
    places = [place for setting in results.settings for place in results.attacked(setting)]
    if not any(len(rows) > 1 for group in results.groups for rows in group.rows):
        return
    measures = measured(results.groups)
    if len(places) == len(results.settings):
        figure, grid = panels(len(places), len(measures), 4.2, 2.6, sharey="col")
        for row, place in zip(grid, places, strict=True):
            for axes, measure in zip(row, measures, strict=True):
                _rounds(axes, results.at(place), measure, looks)
                axes.set_title(f"{place.setting}: {place.label}", fontsize=9, loc="left")
        _finish(figure, grid, [NAMES[m] for m in measures], "round", by_row=False)
        _floors(grid, by_row=False)
        yield "by-round", "Accuracy by round", figure
        return
    for setting in results.settings:
        mine = results.attacked(setting)
        down = unique(place.imbalance for place in mine)
        across = unique((place.attack, place.malicious, place.flips) for place in mine)
        for measure in measures:
            figure, grid = panels(len(down), len(across), 2.5, 2.2, sharex=True, sharey=True)
            for place in mine:
                where = down.index(place.imbalance)
                column = across.index((place.attack, place.malicious, place.flips))
                _rounds(grid[where][column], results.at(place), measure, looks)
                if where == 0:
                    grid[0][column].set_title(_heading(place, mine), fontsize=9)
            labels = [f"lambda {value:g}" for value in down]
            _finish(figure, grid, labels, "round", by_row=True)
            _floors(grid, by_row=True)
            caption = f"{setting}: {NAMES[measure]} by round"
            yield f"by-round-{tag(setting)}-{measure}", caption, figure


def _rounds(axes: Axes, groups: list[Group], measure: str, looks: dict[str, Style]) -> None:
    for group in groups:
        if not group.rows:
            continue
        name = group.point.defense
        shift = apart(list(looks).index(name), looks)
        rounds = [row["round"] for row in group.rows[0]]
        lists = [
            list(group.by_seed(measure, place).values()) if place < len(rounds) else []
            for place in range(len(rounds))
        ]
        mean = [number(float(np.mean(values)) if values else None) for values in lists]
        spread = [number(deviation(values)) for values in lists]
        curve(axes, rounds, mean, spread, looks[name], shift, name)
    axes.locator_params(axis="x", integer=True)


def apart(turn: int, looks: dict[str, Style]) -> float:
    """Where among the curves of a panel one stands: from -1 to 1."""
    return 2 * turn / (len(looks) - 1) - 1 if len(looks) > 1 else 0.0


def _heading(place: Place, places: list[Place]) -> str:
    """What tells the columns of one figure apart."""
    parts = [place.attack] if len({p.attack for p in places}) > 1 else []
    if len({p.malicious for p in places}) > 1 or not parts:
        parts.append(f"tau {_share(place)}")
    return "\n".join(parts)


def _finish(
    figure: Figure, grid: list[list[Axes]], named: list[str], below: str, by_row: bool
) -> None:
    """Axis labels at the edge only, and the legend."""
    for row, line in enumerate(grid):
        for column, axes in enumerate(line):
            if not axes.lines:
                axes.set_visible(False)
            if by_row and column == 0:
                axes.set_ylabel(named[row])
            if not by_row:
                axes.set_ylabel(named[column])
            if row == len(grid) - 1:
                axes.set_xlabel(below)
    legend(figure, [axes for line in grid for axes in line])


def _floors(grid: list[list[Axes]], by_row: bool) -> None:
    """One beginning for all panels that share an accuracy axis."""
    for line in grid if by_row else [list(column) for column in zip(*grid, strict=True)]:
        values = [
            float(value)
            for axes in line
            for drawn in axes.lines
            for value in np.asarray(drawn.get_ydata(), float)
        ]
        lowest = floor(values)
        for axes in line:
            axes.set_ylim(lowest - 0.02 * (1 - lowest), 1 + 0.02 * (1 - lowest))


def _share(place: Place) -> str:
    return place.malicious or "0"


def _shown(value: float, places: list[Place]) -> str:
    """A tick as the plan writes it: 10%, or a number of clients."""
    return next((_share(p) for p in places if abs(p.share - value) < 1e-9), f"{value:g}")


def tag(text: str) -> str:
    """A name as a part of a file name."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
