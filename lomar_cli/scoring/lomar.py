"""LoMar as the paper prints it (sec. 3, eqs. 5-10, Algorithms 1 and 2).

A client is kept when its factor ``F(i) >= eps``. With a small bandwidth F is low for updates that
lie closer together than what surrounds them: sybils, and label flippers that train on flipped
samples only. ``docs/method.md`` tells what this rule finds and what it cannot find.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import UsageError
from lomar_cli.scoring.approximate import Listed, approximate
from lomar_cli.scoring.base import Judgement, RoundView, Vector
from lomar_cli.scoring.density import KERNELS, log_density, log_neighbour_mean
from lomar_cli.scoring.nearest import Neighbourhoods
from lomar_cli.scoring.quantity import Bandwidth, Neighbors
from lomar_cli.scoring.selection import median
from lomar_cli.scoring.threshold import log_ball_volume, paper_bound, widest_gap

# The density of every client on one label, the label's bandwidth and its radius.
_OfLabel = tuple[Vector, float, float]
SEARCHES = ("exact", "approximate")
_MAX_FLOAT = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Factors:
    """Phase I of one round of n clients and R labels.

    ``by_label`` (n, R) holds ``log F_r(i)`` (eq. 7) and ``total`` (n,) their sum ``log F(i)``
    (eq. 9); ``bandwidths`` and ``radii`` (R,) are each block's h and its median distance to the
    furthest neighbour.
    """

    by_label: NDArray[np.float64]
    total: Vector
    bandwidths: Vector
    radii: Vector


@dataclass(frozen=True)
class Lomar:
    """The method's options; calling it on a round judges every client.

    ``epsilon`` is a number, ``"paper"`` (min(1, eps_m), eq. 10's upper root), ``"paper-lower"``
    (its lower root) or ``"auto"`` (the widest gap). ``neighbors_search`` ``"approximate"`` makes no
    n x n matrix, for rounds of very many clients and few neighbours.
    """

    by_distance: ClassVar[bool] = True
    by_label: ClassVar[bool] = True

    neighbors: str = "0.5n"
    bandwidth: str = "0.1x"
    kernel: str = "laplace"
    epsilon: str = "paper"
    false_alarm: float = 0.05
    neighbors_search: str = "exact"

    def __post_init__(self) -> None:
        Neighbors.parse(self.neighbors)
        Bandwidth.parse(self.bandwidth)
        if self.kernel not in KERNELS:
            raise UsageError(f"--kernel {self.kernel}: must be one of {', '.join(KERNELS)}")
        if self.neighbors_search not in SEARCHES:
            raise UsageError(
                f"--neighbors-search {self.neighbors_search}: must be one of {', '.join(SEARCHES)}"
            )
        if not 0 < self.false_alarm < 1:
            raise UsageError(f"--false-alarm {self.false_alarm}: must lie between 0 and 1")
        if self.epsilon not in ("paper", "paper-lower", "auto"):
            _epsilon_number(self.epsilon)

    def __call__(self, view: RoundView) -> Judgement:
        count = len(view.updates.clients)
        labels = range(view.updates.label_count)
        names = [view.updates.label_name(label) for label in labels]
        if count < 2:
            return _alone(count, names)
        k = Neighbors.parse(self.neighbors).count(count)
        factors = self.factors(view, k)
        log_epsilon, notes = self._threshold(view, factors, k)
        keep = factors.total >= log_epsilon
        wanted = Neighbors.parse(self.neighbors)
        if not wanted.share and wanted.value > count - 1:
            notes.append(f"only {count - 1} other clients: k is {k}, not {int(wanted.value)}")
        columns = {
            "factor": np.exp(np.minimum(factors.total, math.log(_MAX_FLOAT))),
            "log_factor": factors.total,
        }
        for label, name in zip(labels, names, strict=True):
            columns[f"log_factor_label_{name}"] = factors.by_label[:, label]
        return Judgement(
            suspicion=-factors.total + 0.0,
            threshold=-log_epsilon + 0.0,
            keep=keep,
            reasons=_reasons(factors, keep, names, view.updates.output is not None),
            columns=columns,
            notes=notes,
        )

    def factors(self, view: RoundView, k: int) -> Factors:
        """Phase I: ``log F_r(i)`` for every client and label."""
        geometry = view.geometry
        bandwidth = Bandwidth.parse(self.bandwidth)

        def by_pairs(near: Neighbourhoods | Listed, squares: NDArray[Any]) -> _OfLabel:
            h = _bandwidth(squares, bandwidth)
            radius = median(np.sqrt(np.maximum.reduceat(squares, near.starts)))
            return log_density(squares, near, h, self.kernel), h, radius

        near: Neighbourhoods | Listed
        if self.neighbors_search == "approximate":
            near, pairs = approximate(view.updates, k, view.seed, geometry.memory)
            found = [by_pairs(near, squares) for squares in pairs]
        else:
            near = exact = geometry.neighbours(k)

            def of_block(_: int, block: NDArray[Any]) -> _OfLabel:
                # A mean of kernels needs no more digits than the updates have, and is made sooner.
                return by_pairs(exact, exact.pick(block).astype(geometry.dtype, copy=False))

            found = geometry.each_block(of_block)
        log_q = np.stack([q for q, _, _ in found], axis=1)
        by_label = log_neighbour_mean(log_q, near) - log_q
        return Factors(
            by_label=by_label,
            total=by_label.sum(axis=1),
            bandwidths=np.array([h for _, h, _ in found]),
            radii=np.array([radius for _, _, radius in found]),
        )

    def _threshold(self, view: RoundView, factors: Factors, k: int) -> tuple[float, list[str]]:
        """Phase II: ``log eps`` and what there is to say about it."""
        if self.epsilon == "auto":
            gap = widest_gap(factors.total)
            if gap is None:
                return -_MAX_FLOAT, ["all factors are equal: there is no gap, everybody is kept"]
            return gap, [
                f"eps = {_show(gap)}, the middle of the widest gap below the median factor; "
                "there is a widest gap in an honest round too"
            ]
        if self.epsilon.startswith("paper"):
            return self._paper_threshold(view, factors, k)
        return math.log(_epsilon_number(self.epsilon)), []

    def _paper_threshold(
        self, view: RoundView, factors: Factors, k: int
    ) -> tuple[float, list[str]]:
        dimension = view.updates.size
        if view.updates.output is not None:
            owned = [view.updates.output.weight, view.updates.output.bias or ""]
            dimension = view.updates.select(owned).size // view.updates.label_count
        with np.errstate(divide="ignore"):
            log_radius = max(float(np.log(factors.radii).mean()), -1e6)
        volume = log_ball_volume(dimension, log_radius)
        h = float(factors.bandwidths.mean())
        bound = paper_bound(self.false_alarm, k, h, volume)
        about = f"eq. 10 with ln V = {volume:.3g} in {dimension} dimensions, h = {h:.3g}"
        root = bound.upper if self.epsilon == "paper" else bound.lower
        if root is None:
            return 0.0, [f"eps = 1: {about} holds for no eps (c = {bound.c:.3g} >= 1): vacuous"]
        said = f"eps_m = {root:.4g} ({about}, c = {bound.c:.3g})"
        if bound.vacuous:
            said += "; V underflows, so the bound is vacuous"
        if root <= 0:
            return -_MAX_FLOAT, [f"eps = 0, everybody is kept: {said} is no threshold"]
        epsilon = min(1.0, root)
        return math.log(epsilon), [f"eps = min(1, eps_m) = {epsilon:.4g}; {said}"]


def _bandwidth(squares: NDArray[Any], bandwidth: Bandwidth) -> float:
    """The h of one block, from its pairs' squared distances.

    Where the median neighbour distance is 0 the mean stands in for it, and 1 where all neighbours
    are identical (every factor is then 1, whatever h).
    """
    if not bandwidth.relative:
        return bandwidth.value
    distances = np.sqrt(squares)
    unit = median(distances) or float(distances.mean(dtype=np.float64)) or 1.0
    return bandwidth.value * unit


def _epsilon_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise UsageError(
            f"--epsilon {text}: must be a number above 0, 'paper', 'paper-lower' or 'auto'"
        )
    return value


def _show(log_value: float) -> str:
    return f"exp({log_value:.4g})"


def _alone(count: int, names: Sequence[str]) -> Judgement:
    zeros = np.zeros(count)
    columns = {"factor": np.ones(count), "log_factor": zeros}
    columns.update({f"log_factor_label_{name}": zeros for name in names})
    return Judgement(
        suspicion=zeros,
        threshold=0.0,
        keep=np.ones(count, dtype=bool),
        reasons=["cannot be judged: there is no other client"] * count,
        columns=columns,
        notes=["fewer than two clients can be compared: everybody is kept"],
    )


def _reasons(
    factors: Factors, keep: NDArray[np.bool_], names: Sequence[str], labelled: bool
) -> list[str]:
    reasons = []
    for total, by_label, kept in zip(factors.total, factors.by_label, keep, strict=True):
        if kept:
            denser = "denser than its neighbours, within the threshold"
            reasons.append("no denser than its neighbours" if total >= 0 else denser)
            continue
        if total >= 0:
            reasons.append("thinner than its neighbours, but less than epsilon asks")
            continue
        where = f" on {_loudest(by_label, names)}" if labelled else ""
        reasons.append(f"denser than its neighbours{where}")
    return reasons


def _loudest(by_label: Vector, names: Sequence[str]) -> str:
    """The labels that carry most of a negative factor: at most three, the loudest first."""
    order = np.argsort(by_label, kind="stable")
    negative = by_label[order][by_label[order] < 0]
    share = np.cumsum(negative) / negative.sum()
    take = min(3, int(np.searchsorted(share, 0.5)) + 1)
    named = [names[label] for label in order[:take]]
    if len(named) == 1:
        return f"label {named[0]}"
    return f"labels {', '.join(named[:-1])} and {named[-1]}"
