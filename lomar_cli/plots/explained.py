"""``lomar explain --plot``: one client's views, its labels, and where it lies among the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lomar_cli.files.text import printable
from lomar_cli.plots.canvas import COLOURS, GREY, legend, panels
from lomar_cli.plots.verdict import (
    ASIDE,
    KEPT,
    REMOVED,
    Mask,
    Plane,
    Vector,
    draw_map,
    draw_sorted,
    name_points,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = 20
# Beyond this a robust z-score stands out; far beyond, the axis is logarithmic.
_OUT, _FAR = 3.0, 30.0


def explained_figure(
    found: Mapping[str, Any],
    row: int,
    suspicion: Vector,
    keep: Mask,
    threshold: float,
    plane: Plane,
    near: Sequence[int],
) -> Figure:
    """Three panels about client ``row`` of n, from the document of ``lomar explain``.

    ``near`` are the rows of its nearest neighbours, which the map names. Without views the first
    panel holds all suspicions; without labels the second is left out.
    """
    labels = found.get("labels") or []
    figure, (row_of_axes,) = panels(1, 3 if labels else 2, 4.0, 3.7)
    first, last = row_of_axes[0], row_of_axes[-1]
    if found["views"]:
        _views(first, found["views"])
    else:
        draw_sorted(first, suspicion, keep, threshold)
        if suspicion[row] <= ASIDE:
            place = int(np.flatnonzero(np.argsort(-suspicion, kind="stable") == row)[0]) + 1
            _ring(first, place, float(suspicion[row]))
    if labels:
        _labels(row_of_axes[1], labels, int(found["few"]))
    draw_map(last, plane, keep)
    here = plane.points[row]
    if np.isfinite(here).all():
        for other in near:
            x, y = plane.points[other]
            last.plot([here[0], x], [here[1], y], color=GREY, linewidth=0.7, zorder=1)
        _ring(last, float(here[0]), float(here[1]))
        names = [one["client"] for one in found["neighbours"]]
        name_points(last, plane.points[list(near)], names)
    verdict = "kept" if found["keep"] else "removed"
    figure.suptitle(
        f"{printable(found['client'], 60)}: {verdict} by {printable(found['method'] or '?', 40)}",
        fontsize=11,
        x=0.01,
        ha="left",
    )
    legend(figure, row_of_axes, ["kept", "removed"])
    return figure


def _ring(axes: Axes, x: float, y: float) -> None:
    axes.scatter(
        [x],
        [y],
        s=130,
        facecolors="none",
        edgecolors="#000000",
        linewidths=1.6,
        zorder=4,
        label="this client",
    )


def _views(axes: Axes, views: Sequence[Mapping[str, Any]]) -> None:
    """A bar a view, in units of its threshold."""
    names = [str(one["view"]) for one in views]
    known = np.array([np.nan if one["suspicion"] is None else one["suspicion"] for one in views])
    at = np.arange(len(views))
    beyond = known > 1
    colours = [REMOVED if loud else KEPT for loud in beyond]
    hatches = ["////" if loud else "" for loud in beyond]
    axes.barh(at, np.nan_to_num(known), color=colours, hatch=hatches, edgecolor="white", height=0.6)
    axes.axvline(1, color="#000000", linewidth=1, linestyle="--")
    for place, value in zip(at, known, strict=True):
        said = "could not judge" if np.isnan(value) else f"{value:.2f}"
        axes.annotate(
            said,
            (max(0.0, np.nan_to_num(value)), place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(at, names)
    axes.set_ylim(len(views) - 0.5, -0.5)
    axes.margins(x=0.2)
    axes.set_xlabel("suspicion, in units of the view's threshold")
    axes.set_title("views", loc="left", fontsize=9.5)


def _labels(axes: Axes, labels: Sequence[Mapping[str, Any]], few: int) -> None:
    """Robust z-scores of the distances within each label, those furthest from 0 first."""
    shown = labels[:LABELS]
    at = np.arange(len(shown))
    near = np.array([one["near_z"] for one in shown])
    far = np.array([one["far_z"] for one in shown])
    axes.axhspan(-_OUT, _OUT, color="#eeeeee", zorder=0)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.vlines(at, np.minimum(near, far), np.maximum(near, far), color=GREY, linewidth=0.8)
    axes.plot(at, near, "D", color=COLOURS[3], markersize=6, label=f"distance to {few} nearest")
    axes.plot(
        at,
        far,
        "s",
        color=COLOURS[2],
        markerfacecolor="none",
        markersize=7,
        label="distance to the nearer half",
    )
    if max(np.abs(near).max(), np.abs(far).max()) > _FAR:
        axes.set_yscale("symlog", linthresh=2 * _OUT)
        ticks = [-1000, -100, -10, -3, 0, 3, 10, 100, 1000]
        low, high = axes.get_ylim()
        inside = [tick for tick in ticks if low <= tick <= high]
        axes.set_yticks(inside, [f"{tick:g}" for tick in inside])
    else:
        # The band is always in sight.
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, -1.3 * _OUT), max(high, 1.3 * _OUT))
    names = [_short(str(one["label"])) for one in shown]
    tilted = max(map(len, names)) * len(names) > 36
    axes.set_xticks(at, names, rotation=60 if tilted else 0, ha="right" if tilted else "center")
    axes.set_xlabel("label" if len(shown) == len(labels) else f"label: {LABELS} of {len(labels)}")
    axes.set_ylabel("robust z: above thinner, below tighter", fontsize=8.5)
    axes.set_title("labels against other clients'", loc="left", fontsize=9.5)


def _short(name: str) -> str:
    """The ends of a long name: what tells labels apart is often the last of it."""
    shown = printable(name)
    return shown if len(shown) <= 14 else f"{shown[:6]}…{shown[-7:]}"
