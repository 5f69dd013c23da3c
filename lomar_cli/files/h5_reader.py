"""Typed fields of an open file of ours, each checked as it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import InputError
from lomar_cli.files.h5_digest import PROVENANCE, content_digest
from lomar_cli.files.h5_inert import damage
from lomar_cli.files.h5_text import stored_strings
from lomar_cli.files.text import printable

Provenance = list[dict[str, Any]]
# Every integer attribute counts something; what lies beyond is no count, and overflows sums.
_MAX_INTEGER = 2**53


class Reader:
    """An open file of ours; every getter checks what it returns and names file and field."""

    def __init__(self, path: Path, handle: h5py.File) -> None:
        self.path = path
        self.handle = handle

    def fault(self, field: str, message: str) -> InputError:
        return InputError(f"{printable(str(self.path))}: {printable(field)}: {message}")

    def attribute(self, name: str, where: str = "/") -> Any:
        with damage(self.path, name):
            attributes = self.handle[where].attrs
            if name in attributes:
                return attributes[name]
        raise self.fault(name, "the attribute is missing; the file is damaged or not ours")

    def string(self, name: str, where: str = "/") -> str:
        value = self.attribute(name, where)
        if not isinstance(value, bytes):
            raise self.fault(name, f"must be a string, is {type(value).__name__}")
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise self.fault(name, "holds text that is not UTF-8") from None

    def integer(self, name: str, where: str = "/") -> int:
        value = self.attribute(name, where)
        if not isinstance(value, int | np.integer):
            raise self.fault(name, f"must be an integer, is {type(value).__name__}")
        if abs(int(value)) > _MAX_INTEGER:
            raise self.fault(name, f"is {int(value)}, beyond 2^53")
        return int(value)

    def number(self, name: str, where: str = "/") -> float:
        value = self.attribute(name, where)
        if not isinstance(value, float | int | np.floating | np.integer):
            raise self.fault(name, f"must be a number, is {type(value).__name__}")
        return float(value)

    def document(self, name: str) -> dict[str, Any]:
        """A string attribute that holds a JSON object."""
        try:
            value = json.loads(self.string(name))
        except (ValueError, RecursionError):
            raise self.fault(name, "must hold a JSON object") from None
        if not isinstance(value, dict):
            raise self.fault(name, "must hold a JSON object")
        return value

    def dataset(self, name: str, ndim: int | None = None) -> h5py.Dataset:
        found = self.handle.get(name)
        if not isinstance(found, h5py.Dataset):
            raise self.fault(name, "the data set is missing; the file is damaged or not ours")
        if found.shape is None or (ndim is not None and found.ndim != ndim):
            raise self.fault(name, f"must have {ndim} dimensions, has shape {found.shape}")
        return found

    def names(self, group: str) -> list[str]:
        found = self.handle.get(group)
        if not isinstance(found, h5py.Group):
            raise self.fault(group, "the group is missing; the file is damaged or not ours")
        return list(found)

    def integers(self, name: str, size: int | None = None) -> NDArray[np.int64]:
        values = self._read(name, 1, size, "iu", "integers")
        if values.dtype.kind == "u" and (values > np.iinfo(np.int64).max).any():
            raise self.fault(name, "holds numbers beyond 2^63")
        return values.astype(np.int64)

    def floats(self, name: str, size: int | None = None) -> NDArray[np.float64]:
        return self._read(name, 1, size, "f", "floating-point numbers").astype(np.float64)

    def strings(self, name: str, size: int | None = None) -> list[str]:
        found = self.dataset(name, 1)
        if h5py.check_string_dtype(found.dtype) is None:
            raise self.fault(name, f"must hold strings, holds {found.dtype}")
        if size is not None and found.shape[0] != size:
            raise self.fault(name, f"must have {size} entries, has {found.shape[0]}")
        try:
            with damage(self.path, name):
                return [value.decode("utf-8") for value in stored_strings(found)]
        except UnicodeDecodeError:
            raise self.fault(name, "holds text that is not UTF-8") from None

    def array(self, name: str) -> NDArray[Any]:
        """A data set of finite floats of any shape, read whole."""
        found = self.dataset(name)
        if found.dtype.kind != "f":
            raise self.fault(name, f"must hold floating-point numbers, holds {found.dtype}")
        with damage(self.path, name):
            values: NDArray[Any] = found[()]
        if not np.isfinite(values).all():
            raise self.fault(name, "holds NaN or infinity, which may not be here")
        return values

    def provenance(self) -> Provenance:
        if PROVENANCE not in self.handle:
            return []
        found = self.dataset(PROVENANCE, 0)
        with damage(self.path, PROVENANCE):
            raw = found[()]
        try:
            value = json.loads(raw)
        except (ValueError, TypeError, RecursionError):
            raise self.fault(PROVENANCE, "must hold a JSON list") from None
        if not isinstance(value, list) or not all(
            isinstance(step, dict)
            and all(isinstance(step.get(field, {}), dict) for field in ("options", "inputs"))
            for step in value
        ):
            raise self.fault(PROVENANCE, "must hold a JSON list of stages")
        return value

    def content_sha256(self) -> str:
        return self.string("content_sha256")

    def check_digest(self) -> None:
        """Compare the stored digest with the content; a difference means the file was damaged."""
        with damage(self.path, "content_sha256"):
            actual = content_digest(self.handle)
        if actual != self.content_sha256():
            raise self.fault(
                "content_sha256", "does not match the content; the file was damaged or changed"
            )

    def _read(self, name: str, ndim: int, size: int | None, kinds: str, what: str) -> NDArray[Any]:
        found = self.dataset(name, ndim)
        if found.dtype.kind not in kinds:
            raise self.fault(name, f"must hold {what}, holds {found.dtype}")
        if size is not None and found.shape[0] != size:
            raise self.fault(name, f"must have {size} entries, has {found.shape[0]}")
        with damage(self.path, name):
            values: NDArray[Any] = found[()]
        return values
