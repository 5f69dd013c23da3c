"""Nearest neighbours without a matrix of all distances (n x n), for rounds of very many clients.

A navigable graph (HNSW: Malkov and Yashunin, IEEE TPAMI 2020) over the updates, projected at random
to fewer dimensions, proposes candidates; their true distances decide. The graph is built and
searched on one thread from a seed, so the same round gives the same neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import LomarError
from lomar_cli.files.stretches import stretches, width
from lomar_cli.files.updates import Updates
from lomar_cli.scoring.nearest import row_blocks

Floats = NDArray[np.floating[Any]]
# Of 20,000 structured updates these find 98 % of the neighbours (benchmarks/neighbors.py).
DIMENSIONS = 256
_CANDIDATES = 2
_LINKS, _BUILD, _SEARCH = 16, 80, 2


@dataclass(frozen=True)
class Listed:
    """Neighbourhoods as a list: ``indices`` (n, k), the nearest first."""

    indices: NDArray[np.intp]

    @property
    def counts(self) -> NDArray[np.intp]:
        return np.full(len(self.indices), self.indices.shape[1])

    @property
    def starts(self) -> NDArray[np.intp]:
        found: NDArray[np.intp] = np.arange(len(self.indices)) * self.indices.shape[1]
        return found

    def sums(self, terms: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of ``terms`` (n, R) over the neighbours of every client."""
        return np.stack([term[self.indices].sum(axis=1) for term in terms.T], axis=1)

    def of_neighbours(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """``values`` (n,) of the neighbour of every pair, shape (pairs,)."""
        found: NDArray[np.float64] = values[self.indices].ravel()
        return found

    def row_blocks(self) -> list[slice]:
        return list(row_blocks(*self.indices.shape))


def approximate(updates: Updates, k: int, seed: int, memory: int) -> tuple[Listed, list[Floats]]:
    """About the k nearest others of every client, and the pairs' squared distances by label.

    Each of the R arrays is (n * k,), in the order of the pairs. ``k`` lies in [1, n - 1].
    """
    count = len(updates.clients)
    wanted = min(count - 1, _CANDIDATES * k)
    candidates = _search(_projected(updates, seed, memory), wanted)
    by_label = [
        _pair_squares(updates.label_tensors(label), candidates, updates.dtype, memory)
        for label in range(updates.label_count)
    ]
    total = np.sum(by_label, axis=0, dtype=np.float64)
    if updates.output is not None:
        owned = (updates.output.weight, updates.output.bias)
        shared = {name: t for name, t in updates.tensors.items() if name not in owned}
        if shared:
            total += _pair_squares(shared, candidates, updates.dtype, memory)
    order = np.argsort(total, axis=1, kind="stable")[:, :k]
    kept = [np.take_along_axis(squares, order, axis=1).ravel() for squares in by_label]
    return Listed(np.take_along_axis(candidates, order, axis=1)), kept


def _projected(updates: Updates, seed: int, memory: int) -> Floats:
    """The updates less their mean, (n, at most DIMENSIONS), distances kept but for some noise."""
    count, size = len(updates.clients), updates.size
    rng = np.random.default_rng(seed)
    whole = size <= 2 * DIMENSIONS
    found = np.zeros((count, size if whole else DIMENSIONS), np.float32)
    at = 0
    for stretch in stretches(updates.tensors, width(memory)):
        block = stretch.block.astype(np.float32, copy=False)
        centred = block - block.mean(axis=0)
        if whole:
            found[:, at : at + block.shape[1]] = centred
        else:
            found += centred @ rng.standard_normal((block.shape[1], DIMENSIONS), np.float32)
        at += block.shape[1]
    return found


def _search(points: Floats, wanted: int) -> NDArray[np.intp]:
    try:
        import faiss
    except ImportError:
        raise LomarError(
            "--neighbors-search approximate: needs faiss: pip install 'lomar-cli[ann]'"
        ) from None
    # One thread: links are then made in one order, and the same graph comes out.
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        graph = faiss.IndexHNSWFlat(points.shape[1], _LINKS)
        graph.hnsw.efConstruction = _BUILD
        graph.hnsw.efSearch = max(64, _SEARCH * wanted)
        graph.add(points)
        _, found = graph.search(points, wanted + 1)
    finally:
        faiss.omp_set_num_threads(before)
    return _without_self(found.astype(np.intp), wanted)


def _without_self(found: NDArray[np.intp], wanted: int) -> NDArray[np.intp]:
    """Each row less the client itself, and less the furthest where that was not found.

    The graph leaves -1 where it reaches nobody else; any client stands in then.
    """
    count = len(found)
    rows = np.arange(count)[:, None]
    drop = found == rows
    drop[~drop.any(axis=1), -1] = True
    others: NDArray[np.intp] = found[~drop].reshape(count, wanted)
    for row in np.flatnonzero((others < 0).any(axis=1)):
        known = {int(row), *others[row].tolist()}
        free = (client for client in range(count) if client not in known)
        others[row] = [client if client >= 0 else next(free) for client in others[row]]
    return others


def _pair_squares(
    tensors: Any, indices: NDArray[np.intp], dtype: np.dtype[Any], memory: int
) -> Floats:
    """Squared distances (n, c) between every client and those that ``indices`` (n, c) names."""
    found: Floats = np.zeros(indices.shape, dtype)
    for stretch in stretches(tensors, width(memory)):
        block = stretch.block.astype(dtype, copy=False)
        for rows in row_blocks(len(indices), indices.shape[1] * block.shape[1]):
            apart = block[indices[rows]]
            apart -= block[rows, None]
            found[rows] += np.einsum("ijk,ijk->ij", apart, apart)
    return found
