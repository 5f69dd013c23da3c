"""``.npy``: one array, named ``update``; also what NVFlare's NumPy persistor saves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lomar_cli.files.arrays import NPY, NPY_NAME, read_arrays
from lomar_cli.files.importers.base import One, one_client
from lomar_cli.files.text import printable


def recognises(path: Path, head: bytes) -> bool:
    return head.startswith(NPY)


def clients(path: Path, max_bytes: int) -> list[str] | None:
    return None


def read(path: Path, max_bytes: int) -> Iterator[One]:
    found = read_arrays(path, max_bytes, "fiub")
    yield one_client(printable(str(path)), {NPY_NAME: found[NPY_NAME]})
