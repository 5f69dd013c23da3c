"""The round file: every client's update of one round (``docs/format.md``, lomar/round)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import InputError
from lomar_cli.files import h5
from lomar_cli.files.digests import Digests, Watch, client_digest, watched
from lomar_cli.files.stretches import Consumer, ahead, width
from lomar_cli.files.text import name_fault, printable
from lomar_cli.files.updates import OutputLayer, Updates

DEFAULT_MEMORY = 2 * 2**30
_CHUNK_BYTES = 2**20
_MIN_ROWS = 16


@dataclass(frozen=True)
class RoundHead:
    """All of a round but the numbers.

    ``shapes`` and ``dtypes`` are of one client's parameters, in order. ``base_sha256`` identifies
    the model that the updates start from (``model.parameters_sha256``); "" when unknown.
    ``buffers`` are the parameters that are aggregated but not scored (``buffers.find_buffers``).
    """

    clients: Sequence[str]
    num_examples: NDArray[np.int64]
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, np.dtype[Any]]
    output: OutputLayer | None
    labels: Sequence[str]
    round_number: int
    base_sha256: str
    architecture: str = ""
    buffers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Round:
    """A round as read: its head, its updates, and where it comes from."""

    path: Path
    head: RoundHead
    updates: Updates
    sha256: str
    provenance: h5.Provenance


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

    def seal(self) -> None:
        """Store the digests; every client must have been written."""
        digests = self._digests.all()
        h5.write_strings(self.handle["clients"], "sha256", digests, **self._resizable)


@contextlib.contextmanager
def create_round(
    path: Path,
    head: RoundHead,
    provenance: h5.Provenance,
    force: bool = False,
    pool: ThreadPoolExecutor | None = None,
) -> Iterator[RoundWriter]:
    """Yield a writer for a new round file, which is complete afterwards or absent."""
    with h5.create(path, "round", provenance, force) as handle:
        writer = RoundWriter(handle, head, pool)
        yield writer
        writer.seal()


@contextlib.contextmanager
def open_round(
    path: Path,
    memory: int = DEFAULT_MEMORY,
    max_bytes: int = h5.DEFAULT_MAX_BYTES,
    verify: bool = True,
    consumer: Callable[[RoundHead], Consumer | None] | None = None,
    jobs: int = 1,
) -> Iterator[Round]:
    """Yield the round in ``path``; its tensors are arrays when they fit ``memory``, else data sets.

    Every byte is checked against the stored digests (``verify``). NaN and infinity are let
    through: a client may send them, and it is the scorer's work to say so.

    Where the tensors do not fit, they are read once for the check, in stretches that fit, and what
    ``consumer`` makes of the head is fed these too, so that it needs no reading of its own. With
    more than one of ``jobs`` the next stretch is read while it looks at the last.
    """
    with h5.open_read(path, "round", max_bytes) as reader:
        head = read_head(reader)
        if verify:
            reader.check_digest()
        sets = {n: reader.dataset(f"updates/{encode_name(n)}") for n in head.shapes}
        total = sum(s.size * s.dtype.itemsize for s in sets.values())
        tensors: dict[str, Any] = dict(sets)
        magnitudes = None
        if total <= memory:
            with h5.damage(path, "updates"):
                tensors = {name: s[()] for name, s in sets.items()}
        if verify:
            expected = reader.strings("clients/sha256", len(head.clients))
            if total <= memory:
                found = [client_digest(tensors, row) for row in range(len(head.clients))]
            else:
                watch, looker = Watch(tensors), consumer(head) if consumer else None
                read = watched(path, tensors, width(memory), watch)
                for stretch in ahead(read) if looker and jobs > 1 else read:
                    if looker:
                        looker.feed(stretch)
                found, magnitudes = watch.digests(), watch.magnitudes
            _check_clients(reader, head, found, expected)
        updates = Updates(
            head.clients,
            head.num_examples,
            tensors,
            head.output,
            head.labels,
            magnitudes,
            head.buffers,
        )
        yield Round(path, head, updates, reader.content_sha256(), reader.provenance())


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


def encode_name(name: str) -> str:
    """A parameter's name as an HDF5 link name: ``/`` and ``%`` (and a lone ``.``) escaped."""
    if name in (".", ".."):
        return name.replace(".", "%2E")
    return name.replace("%", "%25").replace("/", "%2F")


def decode_name(name: str) -> str:
    return name.replace("%2F", "/").replace("%2E", ".").replace("%25", "%")


def write_output(handle: h5py.File, output: OutputLayer | None) -> None:
    """Store which parameters are the output layer; empty strings for none."""
    h5.write_text(handle, "output_weight", output.weight if output else "")
    h5.write_text(handle, "output_bias", (output.bias or "") if output else "")
    handle.attrs["label_axis"] = np.int64(output.label_axis if output else 0)


def read_output(
    reader: h5.Reader, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[OutputLayer | None, list[str]]:
    """Return the output layer and the label names, checked against the parameter shapes."""
    weight = reader.string("output_weight")
    labels = reader.strings("labels") if "labels" in reader.handle else []
    check_labels(reader, labels)
    if not weight:
        return None, labels
    bias = reader.string("output_bias") or None
    axis = reader.integer("label_axis")
    if weight not in shapes:
        raise reader.fault("output_weight", f"names '{printable(weight)}', which is not there")
    if not 0 <= axis < len(shapes[weight]):
        raise reader.fault("label_axis", f"is {axis}, but the weight has shape {shapes[weight]}")
    count = shapes[weight][axis]
    if bias is not None and shapes.get(bias) != (count,):
        raise reader.fault("output_bias", f"must name a vector over the {count} labels")
    if labels and len(labels) != count:
        raise reader.fault("labels", f"has {len(labels)} names for {count} labels")
    return OutputLayer(weight, bias, axis), labels


def read_parameters(
    reader: h5.Reader, group: str, skip: int
) -> tuple[dict[str, tuple[int, ...]], dict[str, np.dtype[Any]]]:
    """Return shapes and dtypes of a group of parameters in order, less ``skip`` leading axes."""
    found = []
    for link in reader.names(group):
        data = reader.dataset(f"{group}/{link}")
        if data.dtype.kind != "f" or data.dtype.itemsize > 8:
            raise reader.fault(
                f"{group}/{link}", f"must hold float16, float32 or float64, holds {data.dtype}"
            )
        if data.ndim < skip or 0 in data.shape[skip:]:
            raise reader.fault(f"{group}/{link}", f"has the shape {data.shape}")
        name = decode_name(link)
        fault = name_fault(name)
        if encode_name(name) != link:
            fault = "it is not spelled as docs/format.md says"
        if fault:
            raise reader.fault(f"{group}/{link}", f"the name is refused: {fault}")
        found.append((reader.integer("position", f"{group}/{link}"), name, data))
    if not found:
        raise reader.fault(group, "holds no parameters")
    found.sort(key=lambda item: item[0])
    if [place for place, _, _ in found] != list(range(len(found))):
        raise reader.fault(group, "the positions of its parameters must count from 0")
    shapes = {name: tuple(data.shape[skip:]) for _, name, data in found}
    return shapes, {name: data.dtype for _, name, data in found}


def check_labels(reader: h5.Reader, labels: Sequence[str]) -> None:
    """Refuse label names that could do harm when shown, and one name for two labels."""
    for label in labels:
        fault = name_fault(label)
        if fault:
            raise reader.fault("labels", f"the name '{printable(label, 40)}' is refused: {fault}")
    if len(set(labels)) != len(labels):
        raise reader.fault("labels", "two labels have the same name")


def check_clients(names: Sequence[str], where: str) -> None:
    """Refuse empty lists, duplicate ids and ids that could do harm when shown."""
    if not names:
        raise InputError(f"{where}: holds no clients; at least one is needed")
    seen: set[str] = set()
    for name in names:
        fault = name_fault(name)
        if fault:
            raise InputError(f"{where}: the client id '{printable(name, 40)}' is refused: {fault}")
        if name in seen:
            raise InputError(f"{where}: the client id '{printable(name, 40)}' is there twice")
        seen.add(name)


def read_head(reader: h5.Reader) -> RoundHead:
    """All of an open round but the numbers, checked."""
    clients = reader.strings("clients/id")
    check_clients(clients, f"{printable(str(reader.path))}: clients/id")
    counts = reader.integers("clients/num_examples", len(clients))
    if (counts < 0).any():
        raise reader.fault("clients/num_examples", "holds negative counts")
    shapes, dtypes = read_parameters(reader, "updates", 1)
    for name in shapes:
        rows = reader.dataset(f"updates/{encode_name(name)}").shape[0]
        if rows != len(clients):
            raise reader.fault(f"updates/{name}", f"has {rows} rows for {len(clients)} clients")
    output, labels = read_output(reader, shapes)
    return RoundHead(
        clients=clients,
        num_examples=counts,
        shapes=shapes,
        dtypes=dtypes,
        output=output,
        labels=labels,
        round_number=reader.integer("round_number"),
        base_sha256=reader.string("base_sha256"),
        architecture=reader.string("architecture"),
        buffers=_read_buffers(reader, shapes, output),
    )


def _read_buffers(
    reader: h5.Reader, shapes: Mapping[str, tuple[int, ...]], output: OutputLayer | None
) -> frozenset[str]:
    found = set()
    for name in shapes:
        where = f"updates/{encode_name(name)}"
        if "buffer" in reader.dataset(where).attrs and reader.integer("buffer", where):
            found.add(name)
    if len(found) == len(shapes) or (output and {output.weight, output.bias} & found):
        raise reader.fault("updates", "a round whose output layer, or all of it, is a buffer")
    return frozenset(found)


def _check_clients(
    reader: h5.Reader, head: RoundHead, found: Sequence[str], expected: Sequence[str]
) -> None:
    for name, digest, stored in zip(head.clients, found, expected, strict=True):
        if digest != stored:
            raise reader.fault(
                f"updates of client '{printable(name)}'",
                "do not match their digest; the file is damaged",
            )
