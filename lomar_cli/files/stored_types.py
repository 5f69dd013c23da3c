"""The types in which clients sent what a round holds as floats: whole numbers, truth, bfloat16.

A round file keeps them by each parameter, so that ``export`` can write what was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lomar_cli.files import h5
from lomar_cli.files.importers.base import MAX_COUNT, from_bfloat16, to_bfloat16
from lomar_cli.files.round import Paths, as_paths, decode_name, encode_name

BFLOAT16 = "bfloat16"
_ATTRIBUTE = "stored_type"
_KINDS = {BFLOAT16, "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
_BLOCK = 2**24


class Narrowed:
    """A tensor in the type it was sent in; bfloat16 as two raw bytes (``|V2``). Sliced only."""

    def __init__(self, tensor: Any, kind: str) -> None:
        self._tensor, self._kind = tensor, kind
        self.shape = tensor.shape
        self.dtype = np.dtype("V2") if kind == BFLOAT16 else np.dtype(kind)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        return as_stored(np.asarray(self._tensor[key]), self._kind)


def write_types(handle: h5py.File, types: Mapping[str, str]) -> None:
    """Note the types (``One.types``) of those of a round's parameters that were no such floats."""
    for name, kind in types.items():
        if kind in _KINDS:
            h5.write_text(handle[f"updates/{encode_name(name)}"], _ATTRIBUTE, kind)


def read_types(reader: h5.Reader) -> dict[str, str]:
    """The types that were noted, by parameter; InputError for what is no type."""
    found = {}
    for link in reader.names("updates"):
        where = f"updates/{link}"
        if _ATTRIBUTE in reader.dataset(where).attrs:
            kind = reader.string(_ATTRIBUTE, where)
            if kind not in _KINDS:
                raise reader.fault(where, f"{_ATTRIBUTE}: is none of {', '.join(sorted(_KINDS))}")
            found[decode_name(link)] = kind
    return found


def types_of(paths: Paths) -> dict[str, str]:
    """The types that were noted in a round's files, by parameter, where all of them say the same.

    The files are those of a round that was opened, and so checked, already.
    """
    common: dict[str, str] | None = None
    for path in as_paths(paths):
        with h5.open_read(path, "round") as reader:
            found = read_types(reader)
        common = found if common is None else dict(common.items() & found.items())
    return common or {}


def still(tensors: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, str]:
    """Those of ``types`` of whose tensor every number is still one of that type."""
    return {n: k for n, k in types.items() if narrowed(tensors[n], k) is not tensors[n]}


def narrowed(tensor: Any, kind: str) -> Any:
    """``tensor`` as it was sent, if every number of it still is one of that type; else itself."""
    rows = max(1, _BLOCK // (8 * max(1, int(np.prod(tensor.shape[1:], dtype=np.int64)))))
    for start in range(0, tensor.shape[0], rows):
        values = np.asarray(tensor[start : start + rows])
        with np.errstate(all="ignore"):
            there = as_stored(values, kind)
        back = from_bfloat16(there.view(np.uint16)) if kind == BFLOAT16 else there
        # As bits: NaN is itself, and minus zero is not zero.
        if back.astype(values.dtype).tobytes() != values.tobytes():
            return tensor
    return Narrowed(tensor, kind)


def as_stored(values: NDArray[Any], kind: str) -> NDArray[Any]:
    """``values`` in the type named ``kind``, the nearest; bfloat16 as two raw bytes (``|V2``)."""
    if kind == BFLOAT16:
        return to_bfloat16(np.asarray(values, np.float32)).view("V2")
    dtype = np.dtype(kind)
    if dtype.kind == "b":
        return np.asarray(values) >= 0.5
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low, high = max(limits.min, -MAX_COUNT), min(limits.max, MAX_COUNT)
        whole: NDArray[Any] = np.clip(np.rint(values), low, high).astype(dtype)
        return whole
    return np.asarray(values, dtype)
