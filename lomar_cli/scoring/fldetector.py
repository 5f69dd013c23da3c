"""FLDetector (Zhang, Cao, Jia and Gong, KDD 2022): is a client's update what its last one foretold?

An honest update moves with the model: ``g_i(t) ~ g_i(t-1) + H (w(t) - w(t-1))``, with a Hessian H
that L-BFGS estimates from the last rounds' steps and aggregates (compact form of Byrd, Nocedal
and Schnabel 1994). A client's score is its distance from that prediction, over the mean distance
in its round, averaged over the last rounds. The gap statistic says whether the scores are more
than one cluster; if so, two-means parts them and the higher group is flagged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lomar_cli.errors import NeedsHistoryError, UsageError
from lomar_cli.files.text import counted
from lomar_cli.files.updates import Updates
from lomar_cli.scoring.base import Judgement, RoundView, Vector
from lomar_cli.scoring.common import columns, judged, need_clients
from lomar_cli.scoring.gap_statistic import clusters
from lomar_cli.scoring.two_means import split


@dataclass(frozen=True)
class FlDetector:
    """``window`` rounds (the paper's N) for both the Hessian and the averaged scores."""

    window: int = 10
    references: int = 10
    most_clusters: int = 7

    def __post_init__(self) -> None:
        for name in ("window", "references", "most_clusters"):
            if getattr(self, name) < 1:
                raise UsageError(f"--set {name}={getattr(self, name)}: must be 1 or more")

    def __call__(self, view: RoundView) -> Judgement:
        need_clients(view, "fldetector", 3)
        if len(view.history) < 2:
            raise NeedsHistoryError(
                "--method fldetector: needs at least two earlier rounds, and has "
                f"{len(view.history)}: --history ROUND1 --history ROUND2, or --history FOLDER "
                "(of lomar watch: --remember 2)"
            )
        rounds = [*view.history, view.updates]
        by_round = self._by_round(rounds, view.updates.clients)
        seen = ~np.isnan(by_round)
        known = np.asarray(seen.any(axis=0))
        if known.sum() < 2:
            raise NeedsHistoryError(
                "--method fldetector: fewer than two clients of this round took part in two "
                "earlier rounds in a row; clients are matched by their names"
            )
        scores = np.where(seen, by_round, 0).sum(axis=0) / np.maximum(1, seen.sum(axis=0))
        k = clusters(scores[known], self.most_clusters, self.references, view.seed)
        limit = float(scores[known].max())
        if k > 1:
            limit = float(split(scores[known][:, None]).cut[0])
        # Nobody can say whether a newcomer is consistent: it ranks as the average client does.
        suspicion = np.where(known, scores, min(1.0, limit))
        judgement = judged(
            suspicion,
            limit,
            lambda row: f"{suspicion[row]:.3g} times as far from its prediction as the average",
            "about where its last update foretold",
            {"rounds_judged": seen.sum(axis=0).astype(float)},
            [
                f"the gap statistic finds {counted(k, 'cluster')} of scores over "
                f"{int(seen.any(axis=1).sum())} rounds"
                + ("" if k > 1 else ": no attack, everybody is kept"),
                "the model is taken to have moved by the mean update, weighted by num_examples",
                *([f"{int((~known).sum())} clients have no history"] if not known.all() else []),
            ],
        )
        reasons = [
            said if judgeable else "cannot be judged: it was not in two rounds in a row"
            for said, judgeable in zip(judgement.reasons, known.tolist(), strict=True)
        ]
        return Judgement(
            judgement.suspicion, limit, judgement.keep, reasons, judgement.columns, judgement.notes
        )

    def _by_round(self, rounds: Sequence[Updates], clients: Sequence[str]) -> Vector:
        """Relative distances (rounds, clients) from the prediction; NaN where there is none."""
        first = max(2, len(rounds) - self.window)
        # Of the rounds before, only those that a window still reaches.
        reach = max(0, first - self.window - 1)
        means = {t: _mean(rounds[t]) for t in range(reach, len(rounds))}
        found = np.full((len(rounds) - first, len(clients)), np.nan)
        for t in range(first, len(rounds)):
            pairs = range(max(reach + 1, t - self.window), t)
            steps = np.stack([means[r - 1] for r in pairs])
            changes = np.stack([means[r] - means[r - 1] for r in pairs])
            shift = hessian_product(steps, changes, means[t - 1])
            now = {client: row for row, client in enumerate(rounds[t].clients)}
            then = {client: row for row, client in enumerate(rounds[t - 1].clients)}
            both = [place for place, c in enumerate(clients) if c in now and c in then]
            if both:
                a = rounds[t].rows(np.array([now[clients[place]] for place in both]))
                b = rounds[t - 1].rows(np.array([then[clients[place]] for place in both]))
                away = _distances(a, b, shift)
                found[t - first, both] = away / (float(away.mean()) or 1.0)
        return found


def hessian_product(steps: Vector, changes: Vector, vector: Vector) -> Vector:
    """``H v`` with the L-BFGS Hessian of ``steps`` and ``changes`` (pairs, d), the oldest first.

    ``B = sigma I - [sigma S, Y] M^-1 [sigma S, Y]'`` with ``M = [[sigma S'S, L], [L', -D]]``: L is
    the strictly lower part of S'Y, D its diagonal, sigma = y's / s's of the newest pair. Minus
    every change gives minus the product, so updates may stand for gradients.
    """
    inner = steps @ changes.T
    length = float(steps[-1] @ steps[-1])
    if length == 0:
        return np.zeros_like(vector)
    sigma = float(inner[-1, -1]) / length
    lower = np.tril(inner, -1)
    middle = np.block([[sigma * (steps @ steps.T), lower], [lower.T, -np.diag(inner.diagonal())]])
    right = np.concatenate([sigma * (steps @ vector), changes @ vector])
    # Least squares, as rounds in which nothing moved make the matrix singular.
    solved = np.linalg.lstsq(middle, right, rcond=None)[0]
    pairs = len(steps)
    product: Vector = sigma * vector - (sigma * solved[:pairs] @ steps + solved[pairs:] @ changes)
    return product


def _mean(updates: Updates) -> Vector:
    weights = updates.num_examples.astype(np.float64)
    if not weights.sum() > 0:
        weights = np.ones(len(weights))
    weights = weights / weights.sum()
    return np.concatenate([weights @ block for block in columns(updates)])


def _distances(now: Updates, then: Updates, shift: Vector) -> Vector:
    squares = np.zeros(len(now.clients))
    offset = 0
    for a, b in zip(columns(now), columns(then), strict=True):
        expected = b + shift[offset : offset + a.shape[1]]
        squares += ((a - expected) ** 2).sum(axis=1)
        offset += a.shape[1]
    return np.sqrt(squares)
