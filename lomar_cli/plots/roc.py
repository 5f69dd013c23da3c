"""``lomar evaluate --roc``: how well suspicions tell malicious clients from others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lomar_cli.files.text import printable
from lomar_cli.plots.canvas import GREY, panels, styles
from lomar_cli.plots.verdict import Mask, Vector

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Up to so many names have room inside the axes.
_INSIDE = 6


@dataclass(frozen=True)
class Verdict:
    """One score table beside the truth: n clients, of both kinds.

    ``auc`` is the area under its curve, ``found`` and ``false_alarms`` are the shares of malicious
    and of other clients that it flags.
    """

    name: str
    suspicion: Vector
    malicious: Mask
    auc: float
    found: float
    false_alarms: float


def roc(suspicion: Vector, malicious: Mask) -> tuple[Vector, Vector]:
    """False-alarm rates and shares found, from (0, 0) to (1, 1), at every distinct suspicion.

    Clients of equal suspicion are flagged together, so a tie is a slope.
    """
    order = np.argsort(-suspicion, kind="stable")
    guilty = malicious[order]
    last = np.append(np.diff(suspicion[order]) != 0, True)
    found = np.cumsum(guilty)[last] / guilty.sum()
    alarms = np.cumsum(~guilty)[last] / (~guilty).sum()
    return np.append(0.0, alarms), np.append(0.0, found)


def roc_figure(verdicts: Sequence[Verdict]) -> Figure:
    """All curves in one panel; a mark on each shows where its threshold lies."""
    beside = len(verdicts) > _INSIDE
    figure, ((axes,),) = panels(1, 1, 7.4 if beside else 4.6, 4.6)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    looks = styles([one.name for one in verdicts])
    for one in verdicts:
        look = {**looks[one.name], "markeredgecolor": "#000000", "markeredgewidth": 0.9}
        alarms, found = roc(one.suspicion, one.malicious)
        axes.plot(alarms, found, **{**look, "marker": ""})
        point = {**look, "linestyle": "", "markersize": 9}
        axes.plot(one.false_alarms, one.found, **point, clip_on=False, zorder=5)
        # Line and mark together, as they are to be told apart.
        axes.plot([], [], label=f"{printable(one.name, 40)} (AUC {one.auc:.3f})", **look)
    axes.plot([], [], " ", label="marks: at its threshold")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel("false alarms: share of other clients flagged")
    axes.set_ylabel("found: share of malicious clients flagged")
    if beside:
        figure.legend(loc="outside right upper", fontsize=8.5, frameon=False)
    else:
        axes.legend(loc="lower right", fontsize=8.5, framealpha=0.85, edgecolor="none")
    return figure
