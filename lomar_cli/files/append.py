"""Append one client to a round file, in place, while others read it or append to it too."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import InputError, LomarError
from lomar_cli.files import h5
from lomar_cli.files.digests import client_digest, clients_digest
from lomar_cli.files.h5_digest import PROVENANCE
from lomar_cli.files.h5_text import write_scalar
from lomar_cli.files.journal import Overlay, commit, recover
from lomar_cli.files.lock import holding
from lomar_cli.files.provenance import extend
from lomar_cli.files.round import encode_name, read_head
from lomar_cli.files.shards import read_shard
from lomar_cli.files.text import name_fault, printable


def append_client(
    path: Path, client_id: str, num_examples: int, arrays: Mapping[str, NDArray[Any]]
) -> int:
    """Add a client to the round ``path`` and return how many it holds then.

    ``arrays`` are the client's updates: the round's parameters, by name, in its shapes and types.
    Waits while others read the round or append to it. The file is as before or as after, also if
    the machine dies: what was begun is finished by the next who opens it. InputError for a client
    that is there already or does not fit; the round is then untouched.
    """
    shown = printable(str(path))
    h5.check_signature(path)
    try:
        with holding(path, exclusive=True):
            recover(path)
            with contextlib.closing(Overlay(path)) as overlay:
                count = _append(path, overlay, client_id, num_examples, arrays)
                commit(path, overlay)
                return count
    except OSError as error:
        raise LomarError(f"{shown}: cannot be appended to: {error.strerror or error}") from None


def _append(
    path: Path,
    overlay: Overlay,
    client: str,
    num_examples: int,
    arrays: Mapping[str, NDArray[Any]],
) -> int:
    with h5.open_steady(path, overlay, "round") as reader:
        reader.check_digest()
        shard = read_shard(reader)
        if shard is not None:
            raise reader.fault("shard", f"is {shard} of a set; put more clients in another file")
        before = reader.content_sha256()
        head = read_head(reader)
        fault = name_fault(client)
        if fault:
            raise reader.fault("clients/id", f"'{printable(client, 40)}' is refused: {fault}")
        if client in head.clients:
            raise reader.fault("clients/id", f"there is a client '{client}' already")
        if not 0 <= num_examples < 2**63:
            raise reader.fault("clients/num_examples", f"{num_examples} is no count of samples")
        if set(arrays) != set(head.shapes):
            odd = ", ".join(printable(n, 40) for n in sorted(set(arrays) ^ set(head.shapes)))
            raise reader.fault("updates", f"the client's parameters are others: {odd}")
        handle, row = reader.handle, len(head.clients)
        ordered = {name: np.asarray(arrays[name])[None] for name in head.shapes}
        for name, array in ordered.items():
            stored = handle[f"updates/{encode_name(name)}"]
            kind = head.dtypes[name]
            if array.shape[1:] != head.shapes[name] or array.dtype != kind.newbyteorder("="):
                what = f"{array.dtype} {list(array.shape[1:])}"
                wanted = f"{kind} {list(head.shapes[name])}"
                raise reader.fault(f"updates/{name}", f"the client sends {what}, not {wanted}")
            if stored.maxshape[0] is not None or not stored.chunks:
                raise reader.fault(f"updates/{name}", "cannot grow; make the round with lomar")
        for name, array in ordered.items():
            stored = handle[f"updates/{encode_name(name)}"]
            stored.resize(row + 1, axis=0)
            stored[row] = array[0]
            ordered[name] = array.astype(stored.dtype)
        digests = [*reader.strings("clients/sha256", row), client_digest(ordered, 0)]
        counts = handle["clients/num_examples"]
        _grow(handle["clients"], "num_examples", [*counts[:].tolist(), num_examples])
        _grow(handle["clients"], "id", [*head.clients, client])
        _grow(handle["clients"], "sha256", digests)
        steps = _told(reader.provenance(), before, row, [*head.clients, client], digests)
        del handle[PROVENANCE]
        write_scalar(handle, PROVENANCE, json.dumps(steps, sort_keys=True, ensure_ascii=False))
        h5.write_text(handle, "content_sha256", h5.content_digest(handle))
        return row + 1


def _grow(group: h5py.Group, name: str, values: list[Any]) -> None:
    """Put the last value behind the others; made anew where it does not fit."""
    found = group[name]
    raw = values[-1].encode() if isinstance(values[-1], str) else values[-1]
    narrow = isinstance(raw, bytes) and len(raw) > found.dtype.itemsize
    if not narrow and found.maxshape == (None,):
        found.resize((len(values),))
        found[-1] = np.array(raw, found.dtype)
        return
    more = {"maxshape": (None,), "chunks": (max(16, min(1024, len(values))),)}
    del group[name]
    if isinstance(raw, bytes):
        h5.write_strings(group, name, values, **more)
    else:
        group.create_dataset(name, data=np.array(values, np.int64), **more)


def _told(
    steps: h5.Provenance, before: str, first: int, clients: list[str], digests: list[str]
) -> h5.Provenance:
    """The chain with one step ``append`` for all that was appended since another stage."""
    inputs: dict[str, str] = {"round": before}
    if steps and steps[-1].get("stage") == "append":
        last = steps[-1]
        first = int(last.get("options", {}).get("first", first))
        inputs["round"] = str(last.get("inputs", {}).get("round", before))
        steps = steps[:-1]
    if not 0 <= first < len(clients):
        raise InputError("provenance: append: first is no row of the round")
    inputs["clients"] = clients_digest(digests[first:], clients[first:])
    return extend("append", {"first": first}, inputs, [steps])
