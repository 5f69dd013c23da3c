"""The digest of every client of a round, from whole clients or from stretches of parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.files import h5
from lomar_cli.files.stretches import Stretch, largest, stretches


def client_digest(arrays: Mapping[str, Any], row: int) -> str:
    """SHA-256 of one client's parameters: little-endian, C order, in the order of the round."""
    digest = hashlib.sha256()
    for array in arrays.values():
        values = array[row]
        digest.update(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


class Watch:
    """The digest of every client, and the largest value of every tensor, as stretches go by."""

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self._types = {n: t.dtype.newbyteorder("<") for n, t in tensors.items()}
        clients = next(iter(tensors.values())).shape[0]
        self._running = [hashlib.sha256() for _ in range(clients)]
        self.magnitudes = {name: np.zeros(clients) for name in tensors}

    def feed(self, stretch: Stretch) -> None:
        for piece in stretch.pieces:
            part = stretch.block[:, piece.columns]
            known = self.magnitudes[piece.name]
            np.maximum(known, largest(part), out=known)
            dtype = self._types[piece.name]
            for digest, row in zip(self._running, part, strict=True):
                digest.update(row.astype(dtype, copy=False).data)

    def digests(self) -> list[str]:
        return [digest.hexdigest() for digest in self._running]


def watched(
    path: Path, tensors: Mapping[str, Any], max_bytes: int, watch: Watch
) -> Iterator[Stretch]:
    """Read all tensors once; each stretch has been fed to the watch when it comes."""
    with h5.damage(path, "updates"):
        for stretch in stretches(tensors, max_bytes):
            watch.feed(stretch)
            yield stretch
