"""How well suspicions tell honest from malicious: ROC curves and distributions."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.experiments.figures.lines import Drawn, tag
from lomar_cli.experiments.results import Group, Place, Results
from lomar_cli.plots.canvas import (
    COLOURS,
    GREY,
    Style,
    band,
    legend,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID = np.linspace(0, 1, 201)
# Clients that were set aside have the largest float as their suspicion: no histogram holds it.
ASIDE = 1e100
ACROSS = 4
BESIDE = 8
NAMED = 5


def roc_curves(results: Results, looks: dict[str, Style]) -> Iterator[Drawn]:
    """A panel a place; curves are means over seeds at equal false alarms."""
    # Where nobody attacks there is nothing to find.
    places = [p for p in results.places() if p.attacked and _scored(results, p)]
    if not places:
        return
    columns = min(ACROSS, len(places))
    rows = -(-len(places) // columns)
    figure, grid = panels(rows, columns, 3.3, 3.3, sharex=True, sharey=True)
    every = [axes for row in grid for axes in row]
    for axes in every[len(places) :]:
        axes.set_visible(False)
    # Many names in every panel would hide the curves: then they stand once, below.
    crowded = max(len(_scored(results, place)) for place in places) > NAMED
    for axes, place in zip(every, places, strict=False):
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
        for group in _scored(results, place):
            look = {**looks[group.point.defense], "marker": ""}
            found = [mean_roc(one) for one in _lists(group) if 0 < sum(one["malicious"]) < _n(one)]
            if not found:
                continue
            curves = np.stack(found)
            mean = curves.mean(axis=0)
            area = group.mean("auc")
            name = group.point.defense
            if area is not None and not crowded:
                name += f" ({area:.2f})"
            axes.plot([0, *GRID], [0, *mean], label=name, **look)
            if len(found) > 1:
                band(axes, GRID.tolist(), mean, curves.std(axis=0, ddof=1), look)
        title = textwrap.fill(f"{place.setting}: {place.label}", 46)
        axes.set_title(title, fontsize=8.5, loc="left")
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_aspect("equal")
        if not crowded:
            axes.legend(loc="lower right", fontsize=8, framealpha=0.85, edgecolor="none")
    for number, axes in enumerate(every):
        if number % columns == 0:
            axes.set_ylabel("found")
        if number + columns >= len(places):
            axes.set_xlabel("false alarms")
            axes.xaxis.set_tick_params(labelbottom=True)
    if crowded:
        legend(figure, every)
    more = "" if crowded else ", in brackets the area under it"
    yield "roc", f"ROC of the suspicion{more}", figure


def mean_roc(one: dict[str, Any]) -> NDArray[np.float64]:
    """The share found at each false-alarm rate of ``GRID``, for one seed's suspicions."""
    from sklearn.metrics import roc_curve

    alarms, found, _ = roc_curve(one["malicious"], one["suspicion"], drop_intermediate=False)
    # Of several found shares at one false-alarm rate, interp takes the last and highest.
    curve: NDArray[np.float64] = np.interp(GRID, alarms, found)
    return curve


def distributions(results: Results) -> Iterator[Drawn]:
    """Suspicions of honest and malicious clients: a row a place, a column a defense.

    Of many defenses some stand in a figure of their own.
    """
    for setting in results.settings:
        places = [place for place in results.places(setting) if _scored(results, place)]
        if not places:
            continue
        names = [
            name
            for name in results.defenses
            if any(name == g.point.defense for p in places for g in _scored(results, p))
        ]
        for at in range(0, len(names), BESIDE):
            yield _distributions(results, setting, places, names[at : at + BESIDE])


def _distributions(
    results: Results, setting: str, places: Sequence[Place], names: Sequence[str]
) -> Drawn:
    """One figure of some defenses."""
    figure, grid = panels(len(places), len(names), 2.5, 1.9)
    for row, place in zip(grid, places, strict=True):
        there = {group.point.defense: group for group in _scored(results, place)}
        for axes, name in zip(row, names, strict=True):
            if name not in there:
                axes.set_visible(False)
                continue
            _histogram(axes, _lists(there[name]))
        row[0].set_ylabel(place.label.replace(", ", "\n"), fontsize=7.5)
    for axes, name in zip(grid[0], names, strict=True):
        axes.set_title(name, fontsize=9.5)
    for axes in grid[-1]:
        axes.set_xlabel("suspicion")
    figure.supylabel("share of each kind", fontsize=8)
    legend(figure, [axes for row in grid for axes in row])
    caption = (
        f"{setting}: suspicion of honest and malicious clients, all seeds, as shares of each; "
        "what lies far outside is counted in the outermost bars"
    )
    return f"scores-{tag(setting)}", caption, figure


def _histogram(axes: Axes, lists: Sequence[dict[str, Any]]) -> None:
    values = np.concatenate([one["suspicion"] for one in lists]).astype(float)
    truth = np.concatenate([one["malicious"] for one in lists]).astype(bool)
    thresholds = [one["threshold"] for one in lists if abs(one["threshold"]) < ASIDE]
    low, high = bounds(values[np.abs(values) < ASIDE])
    inside = np.clip(values, low, high)
    edges = np.linspace(low, high, 25).tolist()
    for mask, name, colour, hatch in (
        (~truth, "honest", COLOURS[0], ""),
        (truth, "malicious", COLOURS[1], "////"),
    ):
        if mask.any():
            weights = np.full(int(mask.sum()), 1 / mask.sum())
            axes.hist(
                inside[mask],
                edges,
                weights=weights,
                histtype="stepfilled",
                facecolor=(colour, 0.5),
                edgecolor=colour,
                linewidth=1.2,
                hatch=hatch,
                label=name,
            )
    for number, threshold in enumerate(thresholds):
        if low <= threshold <= high:
            name = "threshold, a line a seed" if number == 0 else ""
            axes.axvline(threshold, color="#000000", linewidth=1, linestyle="--", label=name)
    axes.locator_params(axis="x", nbins=4)
    axes.locator_params(axis="y", nbins=3)


def bounds(values: NDArray[np.float64]) -> tuple[float, float]:
    """Where a histogram begins and ends: everything, or within ten quartile ranges."""
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    first, third = np.quantile(values, [0.25, 0.75])
    reach = 10 * (third - first)
    if reach > 0:
        low, high = max(low, float(first - reach)), min(high, float(third + reach))
    if low == high:
        return low - 0.5, high + 0.5
    return low, high


def _scored(results: Results, place: Place) -> list[Group]:
    return [group for group in results.at(place) if group.scored and group.place == place]


def _lists(group: Group) -> list[dict[str, Any]]:
    return [rows[-1]["scores"] for rows in group.rows if rows and "scores" in rows[-1]]


def _n(one: dict[str, Any]) -> int:
    return len(one["malicious"])
