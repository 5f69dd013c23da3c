"""The digest of every client of a round, from whole clients or from stretches of parameters."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.files import h5
from lomar_cli.files.stretches import Stretch, stretches

_WAITING = 2


def client_digest(arrays: Mapping[str, Any], row: int) -> str:
    """SHA-256 of one client's parameters: little-endian, C order, in the order of the round."""
    digest = hashlib.sha256()
    for array in arrays.values():
        values = array[row]
        digest.update(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def clients_digest(digests: Sequence[str], clients: Sequence[str]) -> str:
    """One digest for several clients: SHA-256 of a line each, its digest, two spaces and its id."""
    listed = "".join(f"{d}  {client}\n" for d, client in zip(digests, clients, strict=True))
    return hashlib.sha256(listed.encode()).hexdigest()


class Digests:
    """The digests of the clients of a round that is written, by this thread or by a ``pool``.

    Hashing and writing take about as long, and hashlib lets other threads run meanwhile. What is
    not hashed yet stays in memory: at most ``_WAITING`` calls of :meth:`add`.
    """

    def __init__(self, clients: int, pool: ThreadPoolExecutor | None = None) -> None:
        self._pool = pool
        self._found: list[str | None] = [None] * clients
        self._waiting: deque[tuple[int, Future[list[str]]]] = deque()

    def add(self, start: int, arrays: Mapping[str, Any]) -> None:
        """Clients ``start``, ``start + 1``, ...; each array is (clients, \\*shape)."""
        if self._pool is None:
            self._put(start, _all_digests(arrays))
            return
        self._waiting.append((start, self._pool.submit(_all_digests, arrays)))
        while len(self._waiting) > _WAITING:
            self._take()

    def all(self) -> list[str]:
        """All of them; every client must have been added."""
        while self._waiting:
            self._take()
        found = [digest for digest in self._found if digest is not None]
        if len(found) < len(self._found):
            raise RuntimeError("a client of the round was never written")
        return found

    def _take(self) -> None:
        start, done = self._waiting.popleft()
        self._put(start, done.result())

    def _put(self, start: int, digests: list[str]) -> None:
        self._found[start : start + len(digests)] = digests


def _all_digests(arrays: Mapping[str, Any]) -> list[str]:
    return [client_digest(arrays, row) for row in range(len(next(iter(arrays.values()))))]


class Watch:
    """The digest of every client, and the largest value of every tensor, as stretches go by."""

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self._types = {n: t.dtype.newbyteorder("<") for n, t in tensors.items()}
        clients = next(iter(tensors.values())).shape[0]
        self._running = [hashlib.sha256() for _ in range(clients)]
        self.magnitudes = {name: np.zeros(clients) for name in tensors}

    def feed(self, stretch: Stretch) -> None:
        for piece, here in zip(stretch.pieces, stretch.magnitudes, strict=True):
            part = stretch.block[:, piece.columns]
            known = self.magnitudes[piece.name]
            np.maximum(known, here, out=known)
            dtype = self._types[piece.name]
            for digest, row in zip(self._running, part, strict=True):
                digest.update(row.astype(dtype, copy=False).data)

    def digests(self) -> list[str]:
        return [digest.hexdigest() for digest in self._running]


def watched(
    path: Path, tensors: Mapping[str, Any], max_bytes: int, watch: Watch
) -> Generator[Stretch, None, None]:
    """Read all tensors once; each stretch has been fed to the watch when it comes."""
    with h5.damage(path, "updates"):
        for stretch in stretches(tensors, max_bytes):
            watch.feed(stretch)
            yield stretch
