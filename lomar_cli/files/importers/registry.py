"""Every format of client files and models. A new one is one file and one line here.

Which one a file has is told by its content, never by its ending.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from lomar_cli.errors import InputError
from lomar_cli.files.importers.base import DEFAULT_MAX_BYTES, One, fault
from lomar_cli.files.text import printable

# Tried in this order; name: what the file is called in messages.
FORMATS = {
    "hdf5": "HDF5",
    "pt": "a torch file",
    "npz": "npz",
    "npy": "npy",
    "safetensors": "safetensors",
    "flower": "a Flower array record",
}
# What a folder's file is taken for by its ending: read, and refused if it is not what it says.
ENDINGS = (".npz", ".npy", ".pt", ".pth", ".safetensors", ".h5", ".hdf5", ".pkl", ".pickle")
_HEAD_BYTES = 4096


class Importer(Protocol):
    """A module of this package."""

    def recognises(self, path: Path, head: bytes) -> bool:
        """True when the file, which begins with ``head``, is of this format."""

    def clients(self, path: Path, max_bytes: int) -> list[str] | None:
        """The ids of the file's clients; None for one, which is named as the file."""

    def read(self, path: Path, max_bytes: int) -> Iterator[One]:
        """Each client in order. InputError for whatever is not as the format says."""


def importer(path: Path) -> Importer:
    """The importer for ``path``; InputError when there is none."""
    shown = printable(str(path))
    if not path.is_file():
        raise InputError(f"{shown}: no such file")
    found = _recognised(path)
    if found is None:
        known = ", ".join(FORMATS.values())
        raise InputError(f"{shown}: is none of {known}; {_advice(path)}")
    return found


def find_clients(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the client files among ``paths``, and what was passed over.

    Folders are listed, by name. A file named by itself is always taken; in a folder those that
    are in a known format, or say so by their ending.
    """
    found: list[Path] = []
    ignored: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if not p.name.startswith("."))
            clients = [_is_client(p) for p in inside]
            taken = [p for p, is_one in zip(inside, clients, strict=True) if is_one]
            ignored.extend(p for p, is_one in zip(inside, clients, strict=True) if not is_one)
            if not taken:
                raise InputError(
                    f"{printable(str(path))}: holds no client files ({', '.join(ENDINGS[:6])})"
                )
            found.extend(taken)
        elif path.exists():
            found.append(path)
        else:
            raise InputError(f"{printable(str(path))}: no such file or folder")
    return found, ignored


def read_parameters(path: Path, max_bytes: int = DEFAULT_MAX_BYTES) -> One:
    """Read a model in any of the formats; every number must be finite."""
    from_file = importer(path)
    shown = printable(str(path))
    if from_file.clients(path, max_bytes) is not None:
        raise InputError(f"{shown}: holds a round of many clients, a model is needed here")
    found = next(iter(from_file.read(path, max_bytes)))
    for name, array in found.arrays.items():
        if not np.isfinite(array).all():
            raise fault(shown, name, "holds NaN or infinity; a model may not")
    return found


def client_name(path: Path) -> str:
    """The client that a file of that name is of: its name without the ending."""
    stem = path.stem
    # Keras will have its files end so.
    whole = stem.removesuffix(".weights") if path.suffix.lower() == ".h5" else stem
    return whole or stem


def _recognised(path: Path) -> Importer | None:
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise InputError(
            f"{printable(str(path))}: cannot be read: {error.strerror or error}"
        ) from None
    for name in FORMATS:
        found = cast(Importer, importlib.import_module(f"{__package__}.{name}"))
        if found.recognises(path, head):
            return found
    return None


def _is_client(path: Path) -> bool:
    if not path.is_file():
        return False
    if path.suffix.lower() in ENDINGS:
        return True
    try:
        return _recognised(path) is not None
    except InputError:
        return True  # Whoever reads it says what is wrong.


def _advice(path: Path) -> str:
    with path.open("rb") as stream:
        head = stream.read(2)
    if head[:1] == b"\x80":
        return "it looks like a pickle, which is never loaded; save arrays or a state_dict instead"
    return "convert it to one of these"
