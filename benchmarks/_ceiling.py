"""How well malicious and honest clients of a round could be told apart by who knew them.

A linear classifier is trained on the truth and judged on clients that it has not seen: the best
that any method without labels can be asked for, as far as a line separates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.updates import Updates
from lomar_cli.learning.metrics import auc

FOLDS, TIMES = 5, 4
# Ridge penalties, in shares of the mean eigenvalue of the training clients' Gram matrix.
PENALTIES = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def separator(updates: Updates, malicious: NDArray[np.bool_], seed: int = 0) -> float | None:
    """The cross-validated AUC of a ridge classifier on the updates; None with too few of a kind.

    Classes weigh alike. The penalty is the best of a few for all folds together, so the figure is a
    little on the high side, as a ceiling may be.
    """
    if min(malicious.sum(), (~malicious).sum()) < FOLDS:
        return None
    flat = np.concatenate(
        [
            np.asarray(t[:], np.float64).reshape(len(malicious), -1)
            for t in updates.tensors.values()
        ],
        axis=1,
    )
    flat -= flat.mean(axis=0)
    gram = flat @ flat.T
    rng = np.random.default_rng(seed)
    totals = np.zeros(len(PENALTIES))
    for _ in range(TIMES):
        scores = np.zeros((len(PENALTIES), len(malicious)))
        for test in _folds(malicious, rng):
            scores[:, test] = _fold(gram, malicious, test)
        totals += [auc(one[malicious], one[~malicious]) or 0.0 for one in scores]
    return float(totals.max() / TIMES)


def _folds(malicious: NDArray[np.bool_], rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Masks of the clients that are tested, each kind shared out evenly."""
    fold = np.zeros(len(malicious), np.int64)
    for kind in (malicious, ~malicious):
        fold[kind] = rng.permutation(int(kind.sum())) % FOLDS
    return [fold == one for one in range(FOLDS)]


def _fold(
    gram: NDArray[np.float64], malicious: NDArray[np.bool_], test: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Scores (penalties, tested): weighted ridge regression of +-1 in the dual, with an intercept.

    Solves ``(W^1/2 K W^1/2 + penalty) a = W^1/2 y`` with both kinds weighing a half.
    """
    train = ~test
    kind = malicious[train]
    weight = np.where(kind, 0.5 / kind.sum(), 0.5 / (~kind).sum())
    # Distances from the training clients' weighted mean, in inner products alone.
    to_mean = gram[:, train] @ weight
    own = float(weight @ to_mean[train])
    inner = gram[np.ix_(train, train)] - to_mean[train][:, None] - to_mean[train] + own
    outer = gram[np.ix_(test, train)] - to_mean[test][:, None] - to_mean[train] + own
    root = np.sqrt(weight)
    values, vectors = np.linalg.eigh(root[:, None] * inner * root)
    target = vectors.T @ (root * np.where(kind, 1.0, -1.0))
    side = outer @ (root[:, None] * vectors)
    level = max(float(values.mean()), 1e-300)
    return np.stack([side @ (target / (np.maximum(values, 0) + p * level)) for p in PENALTIES])
