"""The content digest of our HDF5 files (``docs/format.md``, "Content digest")."""

from __future__ import annotations

import hashlib
import json
import struct

import h5py
import numpy as np

from lomar_cli.files.h5_text import stored_strings

PROVENANCE = "provenance"
_NOT_DIGESTED = {"generator", "content_sha256"}
_SLICE = 16 * 2**20


def content_digest(handle: h5py.File) -> str:
    """SHA-256 over names, types, shapes and values, independent of how HDF5 lays them out.

    Left out: provenance and generator (how the content came about, not what it is), and
    ``/updates`` of a round, which ``/clients/sha256`` stands for.
    """
    digest = hashlib.sha256()

    def feed(*parts: bytes) -> None:
        for part in parts:
            digest.update(struct.pack("<Q", len(part)))
            digest.update(part)

    def attributes(where: str) -> None:
        found = handle[where].attrs
        for name in sorted(found):
            if where == "/" and name in _NOT_DIGESTED:
                continue
            value = found[name]
            if isinstance(value, np.generic):
                value = value.item()
            if isinstance(value, bytes):
                value = value.decode("utf-8")
            feed(b"attribute", where.encode(), name.encode(), json.dumps(value).encode())

    def data(where: str) -> None:
        found: h5py.Dataset = handle[where]
        shape = json.dumps(list(found.shape)).encode()
        if where.startswith("/updates/"):
            inner = json.dumps(list(found.shape[1:])).encode()
            feed(b"layout", where.encode(), found.dtype.str.encode(), inner)
            return
        if h5py.check_string_dtype(found.dtype) is not None:
            feed(b"data", where.encode(), b"utf-8", shape)
            feed(*stored_strings(found))
        else:
            little = found.dtype.newbyteorder("<")
            feed(b"data", where.encode(), little.str.encode(), shape)
            digest.update(struct.pack("<Q", found.size * little.itemsize))
            if not found.shape:
                digest.update(np.asarray(found[()], dtype=little).tobytes())
                return
            rows = max(1, _SLICE // max(1, found.size // max(1, found.shape[0]) * little.itemsize))
            for start in range(0, found.shape[0], rows):
                raw = np.ascontiguousarray(found[start : start + rows], dtype=little)
                digest.update(raw.data)

    attributes("/")
    for where in sorted(_dataset_paths(handle)):
        if where != f"/{PROVENANCE}":
            attributes(where)
            data(where)
    return digest.hexdigest()


def _dataset_paths(handle: h5py.File) -> list[str]:
    paths = []
    for name in handle:
        item = handle[name]
        if isinstance(item, h5py.Dataset):
            paths.append(f"/{name}")
        else:
            paths.extend(f"/{name}/{inner}" for inner in item)
    return paths
