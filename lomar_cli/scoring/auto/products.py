"""Inner products of updates less their mean, from their distances alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.scoring.auto.base import Vector
from lomar_cli.scoring.nearest import row_blocks

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
# Less would leave it to the last digits of the distances when the search for them ends.
_EXACT = 1e-9
# Less than this share of all variance is rounding: the distances may be float32.
_ROUNDING = 1e-6


class Products:
    """Inner products of n updates less the mean of the trusted, from their squared distances."""

    def __init__(self, squares: NDArray[np.floating[Any]], trusted: Mask) -> None:
        self._squares = squares
        share = trusted[:, None] / trusted.sum()
        self._means = self._distances_times(share)
        self._mean = float((share * self._means).sum())
        self.diagonal: Vector = self._means[:, 0] - self._mean / 2

    def times(self, weights: Array) -> Array:
        """The (n, n) products times ``weights`` (n, m); they are never held whole."""
        total = weights.sum(axis=0)
        found = self._distances_times(weights) - self._means * total
        found += self._mean * total - self._means.T @ weights
        products: Array = -found / 2
        return products

    def _distances_times(self, weights: Array) -> Array:
        count = len(self._squares)
        found = np.empty((count, weights.shape[1]))
        for some in row_blocks(count, count):
            found[some] = self._squares[some].astype(np.float64) @ weights
        return found

    def leading(self, trusted: Mask, number: int) -> Array:
        """Coordinates (n, m) on the first principal components of the ``trusted`` clients (n,).

        At most ``number`` of them: none where they cannot be told from each other.
        """
        import scipy.sparse.linalg

        size = int(trusted.sum())
        count = len(trusted)
        weights = np.zeros((count, 1))

        def times(some: Vector) -> Vector:
            weights[trusted, 0] = some.reshape(-1)
            found: Vector = self.times(weights)[trusted, 0]
            return found

        matrix = scipy.sparse.linalg.LinearOperator((size, size), matvec=times, dtype=np.float64)
        # A fixed start, so that the same round gives the same numbers.
        start = np.random.default_rng(0).standard_normal(size)
        try:
            values, vectors = scipy.sparse.linalg.eigsh(
                matrix, k=number, which="LA", v0=start, tol=_EXACT
            )
        except scipy.sparse.linalg.ArpackError:
            return np.zeros((count, 0))
        real = values > _ROUNDING * float(self.diagonal[trusted].sum())
        weights = np.zeros((count, int(real.sum())))
        weights[trusted] = vectors[:, real]
        found: Array = self.times(weights) / np.sqrt(values[real])
        return found
