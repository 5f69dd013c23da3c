"""What every figure shares: paper, panels, the look of a defense, the legend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette without its yellow, which is too faint on white; black is for those that
# are references. Markers and dashes tell the lines apart without any colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#5D3A9B")
MARKERS = "osD^vP*X<>"
DASHES = ("-", "--", "-.", ":")
GREY = "#777777"
# Up to so many points a curve has bars for its spread.
BARS = 12
NAMES = {"overall": "overall accuracy", "source": "accuracy on source labels"}

Style = dict[str, Any]


def styles(names: Sequence[str], clean: Iterable[str] = ()) -> dict[str, Style]:
    """Colour, marker and dash of every defense, the same in all figures of a report.

    Later lines are drawn over earlier ones and thinner, so that lines that coincide all show. A
    defense in ``clean`` is a reference: black, dotted, without markers.
    """
    references = set(clean)
    found: dict[str, Style] = {}
    count = max(1, len(names) - 1)
    for i, name in enumerate(names):
        if name in references:
            found[name] = {"color": "#000000", "linestyle": ":", "linewidth": 1.4, "marker": ""}
            continue
        size = 1 - i / count
        found[name] = {
            "color": COLOURS[i % len(COLOURS)],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": DASHES[(i // len(COLOURS)) % len(DASHES)],
            "linewidth": 1.2 + 1.8 * size,
            "markersize": 4.5 + 4 * size,
            "markeredgecolor": "white",
            "markeredgewidth": 0.6,
        }
    return found


def blank(width: float, height: float) -> Figure:
    """A figure of its own, in inches; no display is ever opened."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panels(
    rows: int, columns: int, width: float = 3.4, height: float = 2.7, **sharing: Any
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of ``rows`` x ``columns`` panels with a light grid, for lines."""
    # A legend below needs a little more.
    figure = blank(max(4.6, width * columns + 0.5), height * rows + 0.7)
    made = figure.subplots(rows, columns, squeeze=False, **sharing)
    for axes in made.ravel():
        axes.grid(True, color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, [list(row) for row in made]


def legend(figure: Figure, every: Iterable[Axes], order: Sequence[str] = ()) -> None:
    """One legend for all panels, below them; each name once, those in ``order`` first."""
    found: dict[str, Artist] = {}
    for axes in every:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if not found:
        return
    names = sorted(found, key=lambda name: order.index(name) if name in order else len(order))
    fitting = max(1, int(figure.get_figwidth() / (0.65 + 0.085 * max(map(len, names)))))
    # Rows of one length, not a full one and a leftover.
    lines = -(-len(names) // fitting)
    figure.legend(
        [found[name] for name in names],
        names,
        loc="outside lower center",
        ncols=-(-len(names) // lines),
        frameon=False,
        handlelength=2.6,
    )


def curve(
    axes: Axes, at: Sequence[float], mean: Any, spread: Any, style: Style, shift: float, name: str
) -> None:
    """A mean over seeds with one standard deviation up and down.

    Few points get bars, many a band. ``shift``, between -1 and 1, sets the curves of a panel apart
    by up to a fiftieth of its width: without it those that coincide would hide each other.
    """
    if len(at) > BARS:
        axes.plot(at, mean, label=name, **style, markevery=max(1, len(at) // 8))
        band(axes, at, mean, spread, style)
        return
    width = (max(at) - min(at)) or 1
    around = np.nan_to_num(np.asarray(spread, float))
    middle = np.asarray(mean, float)
    # Accuracies end at 0 and 1, and so do the bars.
    reach = [np.minimum(around, middle), np.minimum(around, 1 - middle)]
    moved = np.asarray(at, float) + shift * width / 50
    axes.plot(moved, mean, label=name, **style)
    axes.errorbar(
        moved, mean, yerr=reach, fmt="none", color=style["color"], elinewidth=1, capsize=2
    )


def band(axes: Axes, at: Sequence[float], mean: Any, spread: Any, style: Style) -> None:
    """Mean plus and minus one standard deviation, faint; nothing where there is no spread."""
    middle, around = np.asarray(mean, float), np.asarray(spread, float)
    if np.isnan(around).all():
        return
    low, high = np.clip(middle - around, 0, 1), np.clip(middle + around, 0, 1)
    axes.fill_between(at, low, high, color=style["color"], alpha=0.15, linewidth=0)


def floor(values: Iterable[float]) -> float:
    """Where an accuracy axis begins: a tenth below the lowest value, 0 when that is low."""
    known = [value for value in values if not np.isnan(value)]
    lowest = min(known, default=0.0)
    return 0.0 if lowest < 0.5 else np.floor(lowest * 10 - 0.5) / 10


def number(value: float | None) -> float:
    """NaN for what was not measured: matplotlib leaves it out."""
    return float("nan") if value is None else value
