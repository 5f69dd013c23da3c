"""Principal components of n updates from their n x n distances, or from a few parameters' numbers.

The centred Gram matrix is ``-1/2 J D J`` with the squared distances D and ``J = I - 11'/n``; its
eigenvectors, times the roots of their eigenvalues, are the updates' coordinates on the principal
components (classical scaling). Distances do not cancel, so neither does this. Of d < n parameters
the d x d matrix is the smaller one, and has the same eigenvalues.
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
    values, vectors = _largest(gram, min(count, size))
    return _signed(values, vectors * np.sqrt(np.maximum(values, 0)), count)


def coordinates_of_rows(rows: Floats, count: int) -> Vector:
    """The same from ``rows`` (n, d), centred, by the smaller of their two matrices of products."""
    size, width = rows.shape
    if width >= size:
        return coordinates((rows @ rows.T).astype(np.float64), count)
    values, vectors = _largest((rows.T @ rows).astype(np.float64), min(count, width))
    return _signed(values, rows @ vectors, count)


def _signed(values: Vector, along: Vector, count: int) -> Vector:
    """Coordinates (n, count) with a sign that does not depend on how they were found."""
    result = np.zeros((len(along), count))
    for place, (value, column) in enumerate(zip(values, along.T, strict=True)):
        if value > max(_NOISE * values[0], 0.0):
            result[:, place] = column if column[np.abs(column).argmax()] > 0 else -column
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
