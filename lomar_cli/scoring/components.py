"""Principal components of n updates from their n x n distances, never from an n x d matrix.

The centred Gram matrix is ``-1/2 J D J`` with the squared distances D and ``J = I - 11'/n``; its
eigenvectors, times the roots of their eigenvalues, are the updates' coordinates on the principal
components (classical scaling). Distances do not cancel, so neither does this.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Vector = NDArray[np.float64]

# Up to about these sizes LAPACK is quicker than iterating, for one or two components and for more
# (measured: an honest round's later components nearly tie, and then iterating takes long).
_SMALL = {True: 400, False: 1500}
# Eigenvalues below this share of the largest are rounding.
_NOISE = 1e-6


def centred_gram(squares: Floats) -> Vector:
    """Inner products (n, n) of the updates less their mean."""
    gram = -0.5 * squares.astype(np.float64)
    rows = gram.mean(axis=0)
    gram -= rows[:, None]
    gram -= rows
    gram += rows.mean()
    return gram


def coordinates(gram: Vector, count: int) -> Vector:
    """Coordinates (n, count) on the first principal components, from a centred Gram matrix.

    Each component's largest entry is positive; components that do not exist are 0.
    """
    size = len(gram)
    result = np.zeros((size, count))
    values, vectors = _largest(gram, min(count, size))
    for place, (value, vector) in enumerate(zip(values, vectors.T, strict=True)):
        if value > max(_NOISE * values[0], 0.0):
            sign = 1.0 if vector[np.abs(vector).argmax()] > 0 else -1.0
            result[:, place] = sign * np.sqrt(value) * vector
    return result


def _largest(gram: Vector, count: int) -> tuple[Vector, Vector]:
    """The ``count`` largest eigenvalues, in descending order, and their vectors."""
    import scipy.linalg
    import scipy.sparse.linalg

    size = len(gram)
    if size > _SMALL[count <= 2]:
        # A fixed start, so that the same round gives the same numbers.
        start = np.random.default_rng(0).standard_normal(size)
        try:
            values, vectors = scipy.sparse.linalg.eigsh(gram, k=count, which="LA", v0=start)
            order = np.argsort(-values)
            return values[order], vectors[:, order]
        except scipy.sparse.linalg.ArpackError:
            pass
    values, vectors = scipy.linalg.eigh(gram, subset_by_index=[size - count, size - 1])
    return values[::-1], vectors[:, ::-1]
