"""The covariance-bound agnostic filter, CAF (Allouah et al., ICML 2025).

All clients begin with weight 1. While the weights sum to more than n - 2 f, the direction in which
the weighted updates vary most is found, and every weight shrinks by ``1 - tau_i / max tau``, where
``tau_i`` is the square of a client's offset from the weighted mean in that direction. The result
is the weighted mean that varied least. The clients' own weights are not used.

ByzFL 0.0.11 takes the largest tau among all clients, also those whose weight is 0 by then: one far
update, long out, then keeps the others' weights from shrinking, for hundreds of steps or for ever.
Here it is the largest among those left, so that every step puts at least one client out. ByzFL also
takes one step of the power method from a random start for the direction; here it is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lomar_cli.aggregation.base import Aggregate, Vector, checked, combine, counts_once, need
from lomar_cli.aggregation.span import Span
from lomar_cli.errors import LomarError, UsageError
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.options import assumed
from lomar_cli.threads import one_blas_thread

# Below this size all eigenvectors cost less than an iterative search for the first.
_DENSE = 128
_STEPS = 10_000
# A client whose weight has shrunk below this part of the largest did not take part.
_TRACE = 1e-6


@dataclass(frozen=True)
class CAF:
    """``assume_malicious`` is f; ``ceiling`` says whose tau counts: left, or all as in ByzFL."""

    assume_malicious: str | None = None
    ceiling: str = "left"

    def __post_init__(self) -> None:
        if self.ceiling not in ("left", "all"):
            raise UsageError(f"--set ceiling={self.ceiling}: must be left or all")

    def __call__(self, view: RoundView, weights: Vector) -> Aggregate:
        count = len(weights)
        malicious = assumed(self.assume_malicious, count)
        need("--rule caf", count, 2 * malicious + 1, f"n > 2 f with f = {malicious}")
        view = checked(view)
        gram = Span(view.updates).gram[:-1, :-1]
        # Many short products: handing them out to threads costs more than they do.
        with one_blas_thread():
            shares = filtered(gram, malicious, self.ceiling == "all")
        notes = counts_once("caf", weights)
        return Aggregate(combine(view.updates, shares), shares > _TRACE * shares.max(), notes)


def filtered(gram: Vector, malicious: int, everybody: bool = False) -> Vector:
    """Weights (n,) that sum to 1, from the inner products (n, n) about any origin.

    ``everybody`` lets those whose weight is 0 count for the largest tau.
    """
    count = len(gram)
    rows = np.arange(count)
    weights = np.ones(count)
    best: Vector = weights / count
    least = np.inf
    # Not even: that is the one direction in which nothing varies.
    start = np.cos(np.arange(count, dtype=np.float64))
    for _ in range(_STEPS):
        if weights.sum() <= count - 2 * malicious:
            return best
        if not everybody:
            rows = rows[weights[rows] > 0]
        part, shares = gram[np.ix_(rows, rows)], weights[rows] / weights.sum()
        products = part @ shares
        part -= products[:, None]
        part -= products - shares @ products
        # With A the centred updates scaled by the root of their share, the covariance A'A has the
        # eigenvalues of AA', and an eigenvector e of AA' projects the clients on that of A'A.
        root = np.sqrt(shares)
        value, first = _first(root[:, None] * part * root, start[rows])
        start[rows] += first
        if value < least:
            least, best = value, weights / weights.sum()
        tau = (part @ (root * first)) ** 2
        if not tau.max() > 0:
            evenly: Vector = weights / weights.sum()
            return evenly
        weights[rows] *= np.maximum(0, 1 - tau / tau.max())
    raise LomarError(f"--rule caf: not done after {_STEPS} steps; --set ceiling=left ends sooner")


def _first(matrix: Vector, start: Vector) -> tuple[float, Vector]:
    """The largest eigenvalue of a symmetric matrix and its eigenvector."""
    if len(matrix) <= _DENSE:
        values, vectors = np.linalg.eigh(matrix)
        return float(values[-1]), vectors[:, -1]
    from scipy.sparse.linalg import eigsh

    values, vectors = eigsh(matrix, k=1, which="LA", v0=start)
    return float(values[0]), vectors[:, 0]
