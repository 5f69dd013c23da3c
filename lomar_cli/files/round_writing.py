"""Write round files: whole clients at a time, each hashed as it goes by."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lomar_cli.files import h5
from lomar_cli.files.digests import Digests
from lomar_cli.files.round_head import RoundHead, encode_name
from lomar_cli.files.shards import Shard, write_shard
from lomar_cli.files.updates import OutputLayer

_CHUNK_BYTES = 2**20
_MIN_ROWS = 16


class RoundWriter:
    """Fills a round file, any number of whole clients at a time.

    With a ``pool``, clients are hashed in it while the caller goes on: the arrays that were
    written must then stay as they are.
    """

    def __init__(
        self, handle: h5py.File, head: RoundHead, pool: ThreadPoolExecutor | None = None
    ) -> None:
        self.handle = handle
        self.head = head
        self._digests = Digests(len(head.clients), pool)
        handle.attrs["round_number"] = np.int64(head.round_number)
        h5.write_text(handle, "base_sha256", head.base_sha256)
        h5.write_text(handle, "architecture", head.architecture)
        write_output(handle, head.output)
        clients = handle.create_group("clients")
        resizable = {"maxshape": (None,), "chunks": (max(_MIN_ROWS, min(1024, len(head.clients))),)}
        h5.write_strings(clients, "id", head.clients, **resizable)
        clients.create_dataset("num_examples", data=head.num_examples, **resizable)
        self._resizable = resizable
        if head.labels:
            h5.write_strings(handle, "labels", head.labels)
        group = handle.create_group("updates")
        for position, (name, shape) in enumerate(head.shapes.items()):
            dtype = head.dtypes[name]
            made = group.create_dataset(
                encode_name(name),
                shape=(len(head.clients), *shape),
                maxshape=(None, *shape),
                dtype=dtype,
                chunks=chunk_shape(len(head.clients), shape, dtype.itemsize),
            )
            made.attrs["position"] = np.int64(position)
            if name in head.buffers:
                made.attrs["buffer"] = np.int64(1)

    def write(self, start: int, tensors: Mapping[str, NDArray[Any]]) -> None:
        """Write clients ``start``, ``start + 1``, ...; each array is (clients, \\*shape)."""
        arrays = {name: np.ascontiguousarray(tensors[name]) for name in self.head.shapes}
        count = len(next(iter(arrays.values())))
        for name, array in arrays.items():
            self.handle[f"updates/{encode_name(name)}"][start : start + count] = array
        self._digests.add(start, arrays)

    def digests(self) -> list[str]:
        """The digest of every client; each must have been written."""
        return self._digests.all()

    def seal(self) -> None:
        """Store the digests; every client must have been written."""
        h5.write_strings(self.handle["clients"], "sha256", self.digests(), **self._resizable)


@contextlib.contextmanager
def create_round(
    path: Path,
    head: RoundHead,
    provenance: h5.Provenance,
    force: bool = False,
    pool: ThreadPoolExecutor | None = None,
    shard: Shard | None = None,
) -> Iterator[RoundWriter]:
    """Yield a writer for a new round file, which is complete afterwards or absent.

    ``shard`` says which of a set of files it is.
    """
    with h5.create(path, "round", provenance, force) as handle:
        if shard is not None:
            write_shard(handle, shard)
        writer = RoundWriter(handle, head, pool)
        yield writer
        writer.seal()


def chunk_shape(clients: int, shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Chunks of about 1 MiB: whole clients where one is smaller, else a stretch of one client.

    Measured (``benchmarks/chunks.py``): both appending a client and streaming a range of
    parameters over all clients are then within a factor of the disk's own speed.
    """
    one = max(1, math.prod(shape)) * itemsize
    if one <= _CHUNK_BYTES:
        rows = min(max(clients, _MIN_ROWS), max(1, _CHUNK_BYTES // one))
        return (rows, *shape)
    chunk = []
    left = _CHUNK_BYTES // itemsize
    inner = math.prod(shape)
    for extent in shape:
        inner //= extent
        take = max(1, min(extent, left // max(1, inner)))
        chunk.append(take)
        left = max(1, left // take)
    return (1, *chunk)


def write_output(handle: h5py.File, output: OutputLayer | None) -> None:
    """Store which parameters are the output layer; empty strings for none."""
    h5.write_text(handle, "output_weight", output.weight if output else "")
    h5.write_text(handle, "output_bias", (output.bias or "") if output else "")
    handle.attrs["label_axis"] = np.int64(output.label_axis if output else 0)
