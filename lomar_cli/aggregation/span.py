"""Distances from points that are combinations of the updates, without making those points.

Iterative rules move a point ``v = sum_j c_j u_j`` (with the zero update as one more u) and ask for
its distances to all clients. One matrix of inner products answers every question after it.
"""

from __future__ import annotations

import numpy as np

from lomar_cli.aggregation.base import Vector, blocks
from lomar_cli.files.updates import Updates
from lomar_cli.threads import one_blas_thread


class Span:
    """Inner products of n updates and the zero update (the last point), in float64.

    They are taken from the coordinate-wise median: a common offset would cost digits, and a few
    huge updates may not be what decides where the origin lies.
    """

    def __init__(self, updates: Updates) -> None:
        self.clients = len(updates.clients)
        points = self.clients + 1
        self.gram = np.zeros((points, points))
        with one_blas_thread():
            for tensor in updates.scored().tensors.values():
                for block in blocks(tensor):
                    rows = np.zeros((points, block.shape[1]))
                    rows[:-1] = block
                    rows -= np.median(rows[:-1], axis=0)
                    self.gram += rows @ rows.T
        self._squares = self.gram.diagonal().copy()

    def point(self, coefficients: Vector | None = None) -> Vector:
        """Coefficients (n + 1,) that sum to 1, from those (n,) of the clients; None is zero."""
        own = np.zeros(self.clients) if coefficients is None else coefficients
        return np.append(own, 1 - own.sum())

    def distances(self, point: Vector) -> Vector:
        """Distances (n,) from a point to every client's update."""
        products = self.gram @ point
        squares = self._squares - 2 * products + float(point @ products)
        found: Vector = np.sqrt(np.maximum(squares[:-1], 0))
        return found

    def pairs(self) -> Vector:
        """Distances (n, n) between the clients' updates."""
        own = self._squares[:-1]
        squares = own[:, None] + own - 2 * self.gram[:-1, :-1]
        found: Vector = np.sqrt(np.maximum(squares, 0))
        return found

    def between(self, one: Vector, other: Vector) -> float:
        """The distance between two points."""
        gap = one - other
        return float(np.sqrt(max(0.0, float(gap @ self.gram @ gap))))
