"""What workers do with a round that lies on storage: check clients, and sum over parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.engine.leash import go_on
from lomar_cli.errors import InputError
from lomar_cli.files import h5
from lomar_cli.files.digests import client_digest
from lomar_cli.files.round import Round, open_round, open_rounds
from lomar_cli.files.stretches import ahead, largest, stretches
from lomar_cli.files.text import printable
from lomar_cli.files.updates import Tensor, Updates
from lomar_cli.scoring.sums import Summing, Sums, Wanted
from lomar_cli.stages.gather import adder_on
from lomar_cli.threads import one_blas_thread

# Clients are read so many bytes at a time, or one.
_AT_ONCE = 2**24


@dataclass(frozen=True)
class Source:
    """Where a round lies, by absolute paths, and the digest that it must have."""

    paths: tuple[Path, ...]
    sha256: str

    @contextlib.contextmanager
    def open(self) -> Iterator[Round]:
        """The round, its updates unread."""
        with open_rounds(self.paths, verify=False, updates=False) as found:
            _check_same(found, self.sha256)
            yield found


@dataclass(frozen=True)
class Job:
    """Which sums are made of which numbers.

    ``names`` are the parameters, of which ``label`` (None: all labels) owns those that count.
    ``mask`` marks the clients, packed to bits. ``width`` is how many bytes a stretch may have.
    """

    source: Source
    names: tuple[str, ...]
    label: int | None
    mask: bytes
    clients: int
    dtype: str
    wanted: Wanted
    width: int
    device: str

    def rows(self) -> NDArray[np.intp]:
        bits = np.unpackbits(np.frombuffer(self.mask, np.uint8), count=self.clients)
        return np.flatnonzero(bits)


def packed(rows: NDArray[np.intp], clients: int) -> bytes:
    """A mask of the clients at these ascending positions, as :class:`Job` takes it."""
    if (np.diff(rows) <= 0).any():
        raise ValueError("a mask forgets the order of clients")
    mask = np.zeros(clients, dtype=bool)
    mask[rows] = True
    return np.packbits(mask).tobytes()


def tensors_of(updates: Updates, names: Sequence[str], label: int | None) -> Mapping[str, Tensor]:
    """The parameters that a :class:`Job` sums over."""
    chosen = updates.select(names)
    return chosen.tensors if label is None else chosen.label_tensors(label)


def make_sums(job: Job, first: int, last: int) -> Sums:
    """The sums over stretches ``first`` to ``last``, less the latter, of a job's parameters."""
    with job.source.open() as found, one_blas_thread():
        tensors = tensors_of(found.updates, job.names, job.label)
        summing = Summing(job.wanted, job.rows(), np.dtype(job.dtype), adder_on(job.device))
        with h5.damage(found.path, "updates"):
            for stretch in ahead(stretches(tensors, job.width, range(first, last))):
                go_on()
                summing.feed(stretch)
        return summing.finish()


def check_clients(
    path: Path, sha256: str, start: int, stop: int
) -> tuple[Path, int, list[str], NDArray[np.float64]]:
    """Read clients ``start`` to ``stop`` of one file whole.

    Returns the file, ``start``, their digests, and the largest absolute values (tensors, clients)
    of each, NaN or inf where there are any.
    """
    with open_round(path, -1, verify=False) as found:
        _check_same(found, sha256)
        tensors = found.updates.tensors
        one = max(1, sum(t.dtype.itemsize * int(np.prod(t.shape[1:])) for t in tensors.values()))
        step = max(1, _AT_ONCE // one)
        digests: list[str] = []
        magnitudes = []
        for first in range(start, stop, step):
            go_on()
            last = min(stop, first + step)
            with h5.damage(path, "updates"):
                arrays: dict[str, Any] = {n: t[first:last] for n, t in tensors.items()}
            digests += [client_digest(arrays, row) for row in range(last - first)]
            flat = (array.reshape(last - first, -1) for array in arrays.values())
            magnitudes.append(np.stack([largest(array).astype(np.float64) for array in flat]))
        return path, start, digests, np.concatenate(magnitudes, axis=1)


def _check_same(found: Round, sha256: str) -> None:
    if found.sha256 != sha256:
        raise InputError(
            f"{printable(str(found.path))}: is not the round that it was when this began; score it "
            "again when nobody writes to it"
        )
