"""Write models and rounds as other programs read them: npz, safetensors, torch's .pt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import InputError, UsageError, nearest
from lomar_cli.files.arrays import write_npz
from lomar_cli.files.atomic import atomic_path
from lomar_cli.files.importers import pt, safetensors
from lomar_cli.files.importers.base import CLIENT_IDS, NUM_EXAMPLES
from lomar_cli.files.stored_types import BFLOAT16, as_stored, narrowed
from lomar_cli.files.text import printable

ENDINGS = {".npz": "npz", ".safetensors": "safetensors", ".pt": "pt", ".pth": "pt"}
FORMATS = ("npz", "safetensors", "pt")


def format_of(path: Path) -> str | None:
    """The foreign format that a file's ending asks for; None for any other ending."""
    return ENDINGS.get(path.suffix.lower())


def check_model_ending(path: Path) -> None:
    """Refuse an ending that a model is not written in, before it is made: .safetensor, .npy."""
    ending = path.suffix.lower()
    if ending not in ("", ".h5", ".hdf5", *ENDINGS):
        known = [*ENDINGS, ".h5"]
        raise UsageError(
            f"-o {printable(str(path))}: no model is written as {printable(ending)}"
            f"{nearest(ending, known)} (known: {', '.join(known)})"
        )


def write_parameters(
    path: Path,
    kind: str,
    parameters: Mapping[str, NDArray[Any]],
    types: Mapping[str, str] | None = None,
    force: bool = False,
) -> None:
    """Write a model. ``types`` are those that it is to be stored in (``One.types``).

    Whole numbers are rounded, ties to even; bfloat16 stays float32 in npz, which has no such type.
    """
    stored = {
        name: as_stored(values, _possible((types or {}).get(name, values.dtype.name), kind))
        for name, values in parameters.items()
    }
    with atomic_path(path, force) as temporary, temporary.open("wb") as stream:
        _write(stream, kind, stored)


def write_clients(
    path: Path,
    kind: str,
    tensors: Mapping[str, Any],
    clients: Sequence[str],
    num_examples: NDArray[np.int64],
    force: bool = False,
) -> None:
    """Write a round as one file: arrays over clients, who they are, and their counts."""
    for name in (CLIENT_IDS, NUM_EXAMPLES):
        if name in tensors:
            raise InputError(f"the round has a parameter named '{name}', which means another thing")
    with atomic_path(path, force) as temporary, temporary.open("wb") as stream:
        if kind == "npz":
            ids = np.array(list(clients), dtype=np.str_)
            write_npz(stream, {**tensors, CLIENT_IDS: ids, NUM_EXAMPLES: num_examples})
        elif kind == "safetensors":
            ids_text = json.dumps(list(clients), ensure_ascii=False)
            safetensors.write(
                stream, {**tensors, NUM_EXAMPLES: num_examples}, {CLIENT_IDS: ids_text}
            )
        else:
            about = {CLIENT_IDS: list(clients), NUM_EXAMPLES: num_examples.tolist()}
            pt.write(stream, tensors, about)


def write_client(
    stream: IO[bytes], kind: str, arrays: Mapping[str, NDArray[Any]], num_examples: int
) -> None:
    """Write one client's update with its count."""
    if NUM_EXAMPLES in arrays:
        raise InputError(f"a parameter is named '{NUM_EXAMPLES}', which means another thing")
    if kind == "npz":
        write_npz(stream, {**arrays, NUM_EXAMPLES: np.int64(num_examples)})
    elif kind == "safetensors":
        safetensors.write(stream, arrays, {NUM_EXAMPLES: str(num_examples)})
    else:
        pt.write(stream, arrays, {NUM_EXAMPLES: num_examples})


def sent(tensors: Mapping[str, Any], types: Mapping[str, str], kind: str) -> dict[str, Any]:
    """A round's tensors in the types that its clients sent (``stored_types``), if ``kind`` can."""
    wanted = {name: kept for name, kept in types.items() if _possible(kept, kind) == kept}
    return {
        name: narrowed(tensor, wanted[name]) if name in wanted else tensor
        for name, tensor in tensors.items()
    }


def _possible(stored: str, kind: str) -> str:
    """The type that a format has for one: npz knows no bfloat16."""
    return "float32" if stored == BFLOAT16 and kind == "npz" else stored


def _write(stream: IO[bytes], kind: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    if kind == "npz":
        write_npz(stream, arrays)
    elif kind == "safetensors":
        safetensors.write(stream, arrays)
    else:
        pt.write(stream, arrays)
