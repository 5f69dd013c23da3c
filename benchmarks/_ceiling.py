"""How well malicious and honest clients of a round can be told apart by who knows what to look for.

A linear classifier learns from other clients, honest ones and the same ones with poisoned samples,
that trained from the same model. That is what a method without labels can at best be asked for, as
far as one line separates.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from _attacks import Attacked
from _parts import OWN
from _rounds import Rounds
from _worlds import TEACHERS
from numpy.typing import NDArray

from lomar_cli.learning.metrics import auc

Vector = NDArray[np.float64]
# Fewer components lose the flip, far more are noise; by the AUC on MNIST and digits at lambda 0.9.
COMPONENTS, SLACK = 60, 100.0


def told_apart(rounds: Rounds, number: int, made: Attacked, way: str) -> float | None:
    """The AUC of the taught line on a round in which attackers poisoned their samples this way."""
    line = _line(rounds, number, way)
    if line is None:
        return None
    scores = _flat(made.updates.tensors) @ line
    return auc(scores[made.malicious], scores[~made.malicious])


def _line(rounds: Rounds, number: int, way: str) -> Vector | None:
    """The direction of the malicious, from the cache or learnt now; None with too few to learn."""
    name = f"line {way}"
    kept = rounds.kept(number, name)
    if kept is not None:
        return kept["line"]
    honest = rounds.peek(number, f"{TEACHERS} {OWN}")
    poisoned = rounds.peek(number, f"{TEACHERS} {way}")
    guilty = _flat(poisoned.tensors)[poisoned.poisoned > 0]
    if len(guilty) < 10:
        return None
    line = separating(_flat(honest.tensors), guilty)
    rounds.keep(number, name, {"line": line})
    return line


def separating(clean: Vector, guilty: Vector) -> Vector:
    """The normal (d,) of the line that logistic regression draws between two sets of updates.

    On the first principal components of both; their kinds weigh alike. Squared losses will not do
    here: a few loud attackers would decide alone.
    """
    from sklearn.linear_model import LogisticRegression

    flat = np.concatenate([clean, guilty])
    flat -= flat.mean(axis=0)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    many = min(COMPONENTS, len(flat) - 1)
    axes = flat.T @ vectors[:, -many:] / np.sqrt(np.maximum(values[-many:], 1e-300))
    unit = np.sqrt(values[-1] / len(flat))
    kinds = np.repeat([0, 1], [len(clean), len(guilty)])
    model = LogisticRegression(C=SLACK, class_weight="balanced", max_iter=1000)
    model.fit(flat @ axes / unit, kinds)
    line: Vector = axes @ model.coef_[0]
    return line


def _flat(tensors: Mapping[str, NDArray[np.float32]]) -> Vector:
    return np.concatenate(
        [np.asarray(t[:], np.float64).reshape(len(t), -1) for t in tensors.values()], axis=1
    )
