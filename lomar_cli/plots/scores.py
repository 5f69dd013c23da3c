"""``lomar score --plot``: sorted suspicions with the threshold, and a map of the updates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lomar_cli.files.text import printable
from lomar_cli.plots.canvas import legend, panels
from lomar_cli.plots.verdict import NAMED, Mask, Plane, Vector, draw_map, draw_sorted, name_points

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def scores_figure(
    clients: Sequence[str],
    suspicion: Vector,
    keep: Mask,
    threshold: float,
    plane: Plane,
    method: str,
) -> Figure:
    """Two panels for n clients; the removed ones are named when there are few."""
    figure, ((left, right),) = panels(1, 2, 4.4, 3.7)
    draw_sorted(left, suspicion, keep, threshold)
    draw_map(right, plane, keep)
    left.set_title(
        f"{int((~keep).sum())} of {len(keep)} clients removed by {printable(method, 40)}",
        loc="left",
        fontsize=9.5,
    )
    named = np.flatnonzero(~keep & np.isfinite(plane.points).all(axis=1))
    if len(named) <= NAMED:
        name_points(right, plane.points[named], [clients[int(row)] for row in named])
    legend(figure, [left, right], ["kept", "removed"])
    return figure
