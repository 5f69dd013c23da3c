"""HDF5: a lomar round or model, Keras ``.weights.h5``, or plain data sets in groups.

A parameter is named by its path: ``fc/weight``, ``layers/dense/vars/0``. A file whose root holds
only a group ``clients`` has one group of arrays a client in it, ``/clients/NAME/fc/weight``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lomar_cli.errors import InputError
from lomar_cli.files import h5
from lomar_cli.files.importers.base import NUM_EXAMPLES, Arrays, One, fault, one_client, whole_count
from lomar_cli.files.importers.hdf5_inert import check_inert
from lomar_cli.files.model import Model, read_model
from lomar_cli.files.round import open_round
from lomar_cli.files.text import printable

_CLIENTS = "clients"
# What Keras stores beside the weights of the layers.
_KERAS_LAYERS, _KERAS_OTHER = "layers", ("optimizer",)
_MEMORY = 2**28


def recognises(path: Path, head: bytes) -> bool:
    return head.startswith(h5.SIGNATURE)


def clients(path: Path, max_bytes: int) -> list[str] | None:
    kind = _kind(path)
    if kind == "lomar/round":
        # Nothing but the list is looked at here; every byte is checked when they are read.
        with open_round(path, 0, max_bytes, verify=False) as found:
            return list(found.head.clients)
    if kind == "lomar/model":
        return None
    with _open(path, max_bytes) as handle:
        return list(handle[_CLIENTS]) if _holds_clients(handle) else None


def read(path: Path, max_bytes: int) -> Iterator[One]:
    shown = printable(str(path))
    kind = _kind(path)
    if kind == "lomar/round":
        yield from _round(path, max_bytes)
        return
    if kind == "lomar/model":
        yield one_client(shown, dict(read_model(path, max_bytes).parameters))
        return
    if kind.startswith("lomar/"):
        raise InputError(f"{shown}: is a {printable(kind, 40)} file, which holds no parameters")
    with _open(path, max_bytes) as handle:
        if not _holds_clients(handle):
            yield _group(path, handle)
            return
        for name in handle[_CLIENTS]:
            yield _group(path, handle[_CLIENTS][name])


def own_model(path: Path) -> Model | None:
    """The model when ``path`` is a model file of ours, None for whatever else it is."""
    if not h5.is_hdf5(path) or _kind(path) != "lomar/model":
        return None
    return read_model(path)


def _round(path: Path, max_bytes: int) -> Iterator[One]:
    with open_round(path, _MEMORY, max_bytes) as found:
        shown = printable(str(path))
        for row in range(len(found.head.clients)):
            tensors = found.updates.tensors.items()
            one = one_client(shown, {name: np.asarray(tensor[row]) for name, tensor in tensors})
            yield One(one.arrays, one.types, int(found.head.num_examples[row]))


def _kind(path: Path) -> str:
    """The attribute ``format`` of a file of ours, or ""; read by type, whatever else is there."""
    shown = printable(str(path))
    h5.check_signature(path)
    try:
        handle = h5py.File(path, "r", locking=False)
    except OSError:
        raise InputError(f"{shown}: is truncated or damaged HDF5; make it again") from None
    with contextlib.closing(handle), h5.damage(path, "format"):
        if "format" not in handle.attrs:
            return ""
    # It says that it is one of ours, and our own reader says whether that is so.
    with h5.open_read(path) as reader:
        return reader.string("format")


@contextlib.contextmanager
def _open(path: Path, max_bytes: int) -> Iterator[h5py.File]:
    with (
        contextlib.closing(h5py.File(path, "r", locking=False)) as handle,
        h5.damage(path, "its structure"),
    ):
        check_inert(printable(str(path)), handle, path.stat().st_size, max_bytes)
        yield handle


def _holds_clients(handle: h5py.File) -> bool:
    if list(handle) != [_CLIENTS] or not isinstance(handle[_CLIENTS], h5py.Group):
        return False
    inside = handle[_CLIENTS]
    return len(inside) > 0 and all(isinstance(inside[name], h5py.Group) for name in inside)


def _group(path: Path, group: h5py.Group) -> One:
    """The arrays below a group, by their paths; Keras' optimizer is left out."""
    shown = printable(str(path))
    skipped = _KERAS_OTHER if _KERAS_LAYERS in group else ()
    found: Arrays = {}
    for name in group:
        if name not in skipped:
            _collect(path, group[name], name, found)
    one = one_client(shown, found)
    if one.num_examples is None and NUM_EXAMPLES in group.attrs:
        with h5.damage(path, NUM_EXAMPLES):
            kind: Any = group.attrs.get_id(NUM_EXAMPLES).dtype
            if kind.kind not in "iuf":
                raise fault(shown, NUM_EXAMPLES, "must be one number")
            return One(one.arrays, one.types, whole_count(shown, group.attrs[NUM_EXAMPLES]))
    return one


def _collect(path: Path, item: h5py.Group | h5py.Dataset, name: str, found: Arrays) -> None:
    if isinstance(item, h5py.Group):
        for inner in item:
            _collect(path, item[inner], f"{name}/{inner}", found)
        return
    if item.shape is None or item.dtype.kind not in "fiub":
        raise fault(
            printable(str(path)),
            name,
            f"has type {printable(str(item.dtype), 40)}, parameters are floats of 16 to 64 bits",
        )
    with h5.damage(path, name):
        found[name] = np.asarray(item[()])
