"""Heat maps: shares between 0 and 1, every cell with its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lomar_cli.experiments.worst import WorstCase
from lomar_cli.plots.canvas import blank, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Panel:
    """One map: ``cells`` (rows, columns), None where there is nothing; ``good`` is 1 or 0."""

    title: str
    cells: Sequence[Sequence[float | None]]
    good: int = 1
    words: Sequence[Sequence[str]] = ()


def heat_maps(
    panels: Sequence[Panel],
    rows: Sequence[str],
    columns: Sequence[str],
    cell: tuple[float, float] = (1.1, 0.42),
    turned: int | None = None,
    across: int = 2,
) -> Figure:
    """Panels, ``across`` of them beside each other, that share rows and columns; light is good.

    ``cell`` is the size of a cell in inches. The rows from ``turned`` on are set apart: there it is
    the low values that are good.
    """
    across = min(across, len(panels))
    down = -(-len(panels) // across)
    widest = max(map(len, rows), default=0)
    width = 0.085 * widest + 0.6 + across * (len(columns) * cell[0] + 0.25)
    steep = max(map(_width, columns), default=0) * 0.085 > cell[0]
    tallest = max(map(_width, columns), default=0) * 0.07 if steep else 0.45
    figure = blank(max(3.6, width), down * (len(rows) * cell[1] + tallest + 0.6))
    every = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
    for axes in every[len(panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(every, panels, strict=False):
        table = np.array([[number(value) for value in row] for row in panel.cells], float)
        # cividis is even in lightness and the same for the colour-blind.
        colours = "cividis" if panel.good == 1 else "cividis_r"
        axes.set_facecolor("#eeeeee")
        shades = table.copy()
        if turned is not None:
            shades[turned:] = 1 - shades[turned:]
        axes.imshow(shades, cmap=colours, vmin=0, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(table):
            light = np.isnan(value) or (shades[row, column] > 0.5) == (panel.good == 1)
            text = "–" if np.isnan(value) else f"{value:.2f}"
            more = panel.words[row][column] if panel.words else ""
            axes.text(
                column,
                row - (0.16 if more else 0),
                text,
                ha="center",
                va="center",
                color="black" if light else "white",
                fontsize=8.5 if cell[0] > 0.6 else 7,
            )
            if more:
                axes.text(
                    column,
                    row + 0.22,
                    more,
                    ha="center",
                    va="center",
                    color="black" if light else "white",
                    fontsize=6,
                )
        axes.set_xticks(
            range(len(columns)),
            columns,
            rotation=60 if steep else 0,
            ha="right" if steep else "center",
            rotation_mode="anchor" if steep else "default",
        )
        axes.set_yticks(range(len(rows)), rows)
        axes.tick_params(length=0)
        axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1)
        axes.tick_params(which="minor", length=0)
        axes.spines[:].set_visible(False)
        if turned is not None:
            axes.axhline(turned - 0.5, color="white", linewidth=5)
        axes.set_title(panel.title, fontsize=9)
    return figure


def attacks_figure(worst: WorstCase, number: int) -> Figure:
    """Accuracy of every defense under every attack, and the lowest; of one column."""
    one = worst.attacks[number]
    lowest = [row[number].mean for row in worst.lowest]
    cells = [[*means, low] for means, low in zip(one.means, lowest, strict=True)]
    panel = Panel(f"{one.column}: {_what(worst)}", cells)
    return heat_maps([panel], worst.defenses, [*one.names, "lowest"], cell=(0.6, 0.3))


def _what(worst: WorstCase) -> str:
    return "accuracy on source labels" if worst.measure == "source" else "overall accuracy"


def worst_figure(worst: WorstCase) -> Figure:
    """Lowest accuracy over all attacks, and false alarms without attack beside it."""
    words = [[_short(value.text or value.reason) for value in row] for row in worst.lowest]
    lowest = [[value.mean for value in row] for row in worst.lowest]
    made = [Panel(f"lowest {_what(worst)}", lowest, words=words)]
    if worst.alarmed:
        alarms = [[value.mean for value in row] for row in worst.alarms]
        made.append(Panel("false alarms without attack", alarms, good=0))
    columns = [title.replace(", lambda", "\nlambda").replace(", ", "\n") for title in worst.columns]
    return heat_maps(made, worst.defenses, columns, cell=(1.55, 0.5))


def _width(text: str) -> int:
    return max(map(len, text.split("\n")))


def _short(text: str) -> str:
    text = text.split(":", 1)[0] if text.startswith(("not applicable", "failed")) else text
    return text if len(text) <= 26 else text[:25] + "…"
