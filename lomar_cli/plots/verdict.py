"""The pieces that figures of a verdict share: who is kept, sorted suspicions, a map of updates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.text import printable
from lomar_cli.plots.canvas import COLOURS, GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]
# Suspicions beyond this are those of clients that were set aside before scoring.
ASIDE = 1e100
# Up to so many names are written beside a map, and so many letters of each.
NAMED, LETTERS = 12, 24
# Values that spread over more than this many quartile ranges are drawn on a log scale.
_WIDE = 60.0
KEPT, REMOVED = COLOURS[0], COLOURS[1]
_RASTER = 2000
# The height of a line of names, as a part of the axes.
_LINE = 0.07


@dataclass(frozen=True)
class Plane:
    """The updates in two dimensions: their first two principal components, from the median client.

    ``points`` (n, 2) are NaN for clients that were set aside; ``shares`` (2,) is each component's
    part of the variance. ``group`` is the kind of clients that it is of alone, if it is of one.
    """

    points: Vector
    shares: tuple[float, float]
    group: str | None = None


def draw_sorted(axes: Axes, suspicion: Vector, keep: Mask, threshold: float) -> None:
    """Suspicions (n,) from the highest, by verdict, and the threshold.

    Clients that were set aside are crosses along the upper edge.
    """
    order = np.argsort(-suspicion, kind="stable")
    values, kept = suspicion[order], keep[order]
    rank = np.arange(1.0, len(values) + 1)
    aside = values > ASIDE
    shown = values[~aside]
    if abs(threshold) < ASIDE:
        axes.axhline(threshold, color="#000000", linewidth=1, linestyle="--")
        axes.annotate(
            f"threshold {threshold:.4g}",
            (1, threshold),
            (-2, 3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            fontsize=8,
        )
        shown = np.append(shown, threshold)
    # Both of them, so that removed and kept have their place in the legend.
    _dots(axes, rank[~aside & ~kept], values[~aside & ~kept], "removed", len(rank))
    _dots(axes, rank[~aside & kept], values[~aside & kept], "kept", len(rank))
    stretched(axes, "y", shown)
    if aside.any():
        at = np.full(int(aside.sum()), 0.985)
        axes.plot(
            rank[aside],
            at,
            "x",
            color="#000000",
            markersize=5,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            label="set aside before scoring",
        )
    axes.set_xlabel("clients, the most suspicious first")
    axes.set_ylabel("suspicion")
    axes.set_xlim(0.5 - 0.02 * len(rank), len(rank) + 0.5 + 0.02 * len(rank))
    axes.locator_params(axis="x", integer=True)


def draw_map(axes: Axes, plane: Plane, keep: Mask) -> None:
    """The updates (n,) in two dimensions, by verdict; those that were set aside are left out."""
    there = np.isfinite(plane.points).all(axis=1)
    x, y = plane.points.T
    _dots(axes, x[keep & there], y[keep & there], "kept", len(keep))
    _dots(axes, x[~keep & there], y[~keep & there], "removed", len(keep))
    first = stretched(axes, "x", x[there])
    second = stretched(axes, "y", y[there])
    axes.set_xlabel(f"first component: {plane.shares[0]:.0%} of the variance{first}")
    axes.set_ylabel(f"second component: {plane.shares[1]:.0%}{second}")
    hidden = int((~there).sum())
    beside = f" ({hidden} set aside: not on the map)" if hidden else ""
    if plane.group is not None:
        beside = f" of group '{printable(plane.group, LETTERS)}'"
    axes.set_title(f"updates{beside}", loc="left", fontsize=9.5)


def name_points(axes: Axes, points: Vector, names: Sequence[str]) -> None:
    """Write the names of ``points`` (m, 2) in a column beside the axes, a line to each.

    Call it last: the column lies as high as the points do.
    """
    if not len(points):
        return
    order = np.argsort(-points[:, 1], kind="stable")
    to_axes = axes.transData + axes.transAxes.inverted()
    middle = float(np.mean(to_axes.transform(points)[:, 1]))
    half = _LINE * (len(order) - 1) / 2
    middle = min(max(middle, half), max(1 - half, half))
    places = np.linspace(middle + half, middle - half, len(order))
    line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3}
    for row, place in zip(order, places, strict=True):
        axes.annotate(
            printable(names[row], LETTERS),
            (points[row, 0], points[row, 1]),
            (1.06, place),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            arrowprops={**line, "relpos": (0.0, 0.5)},
        )


def stretched(axes: Axes, axis: str, values: Vector) -> str:
    """Draw ``axis`` on a symmetric log scale if a few values would squeeze all others together.

    Returns what to add to its label.
    """
    if len(values) < 4:
        return ""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    reach = float(high - low) or float(np.abs(values - middle).mean())
    if not (np.ptp(values) > _WIDE * reach > 0):
        return ""
    linear = 2 * max(reach, abs(float(middle)))
    if axis == "x":
        axes.set_xscale("symlog", linthresh=linear)
        axes.set_xticks(*_ticks(values, linear))
    else:
        axes.set_yscale("symlog", linthresh=linear)
        axes.set_yticks(*_ticks(values, linear))
    return " (log scale)"


def _ticks(values: Vector, linear: float) -> tuple[list[float], list[str]]:
    """Zero and a few powers of ten beyond ``linear``, with their names."""
    found = [0.0]
    for sign in (-1, 1):
        furthest = float((sign * values).max())
        if furthest > linear:
            first, last = math.ceil(math.log10(linear)), math.floor(math.log10(furthest))
            step = max(1, math.ceil((last - first + 1) / 4))
            found += [sign * 10.0**power for power in range(first, last + 1, step)]
    found.sort()
    return found, [f"{value:g}" for value in found]


def _dots(axes: Axes, x: Vector, y: Vector, name: str, count: int) -> None:
    """Kept clients as dots, removed ones as triangles; smaller where there are many."""
    kept = name == "kept"
    size = float(np.clip(1400 / max(1, count), 6, 34))
    look: Any = {
        "c": KEPT if kept else REMOVED,
        "marker": "o" if kept else "^",
        "alpha": 0.65,
        "linewidths": 0,
        "zorder": 2 if kept else 3,
    }
    axes.scatter(x, y, s=size if kept else size * 1.4, rasterized=count > _RASTER, **look)
    # For the legend, where a small mark could not be told from another.
    axes.scatter([], [], s=34, label=name, **look)
