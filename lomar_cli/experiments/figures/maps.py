"""Updates in two dimensions (Figure 2 of the paper): a row of panels a setting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lomar_cli.experiments.figures.lines import Drawn
from lomar_cli.experiments.results import Results
from lomar_cli.plots.canvas import COLOURS, legend, panels


def maps(results: Results) -> Iterator[Drawn]:
    """The last round of the first seed of every group that was measured so."""
    found: list[tuple[str, dict[str, Any]]] = []
    for group in results.groups:
        for rows in group.rows[:1]:
            if rows and "map" in rows[-1]:
                title = f"{group.place.setting}, {group.place.label}"
                found.append((title, rows[-1]["map"]))
    if not found:
        return
    columns = max(len(one["parts"]) for _, one in found)
    figure, grid = panels(len(found), columns, 3.0, 2.8)
    for row, (title, one) in zip(grid, found, strict=True):
        bad = np.array(one["malicious"], dtype=bool)
        for axes, (name, part) in zip(row, one["parts"].items(), strict=False):
            points = np.array(part["points"])
            for mask, who, colour, marker in (
                (~bad, "honest", COLOURS[0], "o"),
                (bad, "malicious", COLOURS[1], "^"),
            ):
                x, y = points[mask].T
                axes.scatter(x, y, s=16, c=colour, marker=marker, alpha=0.6, lw=0, label=who)
            axes.set_title(f"{name} ({part['share']:.0%} of the variance)", fontsize=9)
            axes.tick_params(labelsize=7)
        for axes in row[len(one["parts"]) :]:
            axes.set_visible(False)
        row[0].set_ylabel(title.replace(", ", "\n", 1), fontsize=8)
    legend(figure, [axes for row in grid for axes in row])
    yield "map", "Updates of the last round: first two principal components", figure
