"""What every importer gives: one client's arrays at a time, in types that a round can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import InputError
from lomar_cli.files.text import name_fault, printable

Arrays = dict[str, NDArray[Any]]

# Names that mean the same in every format: the clients of a file that holds many, and how many
# samples each of them (or the one client) trained on.
CLIENT_IDS = "client_ids"
NUM_EXAMPLES = "num_examples"
DEFAULT_MAX_BYTES = 16 * 2**30
MAX_COUNT = 2**53


@dataclass(frozen=True)
class One:
    """One client's arrays, in order.

    ``arrays`` are float16, float32 or float64: bfloat16 is read as float32, integers and truth
    values as float64, all without loss. ``types`` are the types as stored (``bfloat16``,
    ``int64``). ``num_examples`` is None when the file does not say.
    """

    arrays: Arrays
    types: dict[str, str]
    num_examples: int | None = None


def fault(shown: str, field: str, message: str) -> InputError:
    """An error that names the file and the field in it."""
    return InputError(f"{shown}: {printable(field, 60)}: {message}")


def one_client(shown: str, found: Mapping[str, NDArray[Any]], bfloat: Sequence[str] = ()) -> One:
    """Check the named arrays of one client and bring them into types that a round can hold.

    ``shown`` is the file, for errors; ``bfloat`` are those that were bfloat16 before they became
    float32. An array ``num_examples`` is taken out.
    """
    found = dict(found)
    count = found.pop(NUM_EXAMPLES, None)
    arrays: Arrays = {}
    types: dict[str, str] = {}
    for name, array in found.items():
        check_array(shown, name, array.shape)
        types[name] = "bfloat16" if name in bfloat else array.dtype.name
        arrays[name] = _floats(shown, name, array)
    if not arrays:
        raise InputError(f"{shown}: holds no arrays")
    return One(arrays, types, None if count is None else whole_count(shown, count))


def check_array(shown: str, name: str, shape: tuple[int, ...]) -> None:
    """Refuse a parameter by its name or its shape."""
    wrong = name_fault(name)
    if wrong:
        raise InputError(f"{shown}: the parameter '{printable(name, 40)}' is refused: {wrong}")
    if 0 in shape:
        raise fault(shown, name, f"is empty, shape {shape}")


def whole_count(shown: str, value: Any) -> int:
    """A number of samples from whatever holds one number.

    0 for a number that is none of samples: negative, broken, NaN, or beyond 2^53. Screening flags
    who has none, and so a client's claim stops nobody's round.
    """
    if type(value) is int:
        return value if 0 <= value < MAX_COUNT else 0
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise fault(shown, NUM_EXAMPLES, "must be one number")
    count = array.reshape(-1)[0]
    return int(count) if 0 <= count < MAX_COUNT and count == int(count) else 0


def row_counts(shown: str, value: Any, clients: int) -> list[int]:
    """The numbers of samples of all clients of a file."""
    array = np.asarray(value)
    if array.shape != (clients,) or array.dtype.kind not in "iuf":
        raise fault(shown, NUM_EXAMPLES, f"must be {clients} numbers, one a client")
    return [whole_count(shown, count) for count in array]


def check_rows(shown: str, name: str, shape: tuple[int, ...], clients: int) -> None:
    """Refuse an array whose first axis is not the clients of its file."""
    if not shape or shape[0] != clients:
        raise fault(
            shown,
            name,
            f"has shape {shape}; the file names {clients} clients, so the first axis must be "
            f"{clients}",
        )


def check_declared(shown: str, field: str, declared: int, max_bytes: int) -> None:
    if declared > max_bytes:
        raise fault(
            shown,
            field,
            f"declares {declared:,} bytes, more than {max_bytes:,}; raise --max-bytes if that is "
            "right",
        )


def from_bfloat16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The numbers whose upper 16 bits, as float32 has them, are ``bits``."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The nearest bfloat16 numbers (ties to even), as their 16 bits; NaN keeps its upper bits."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    nearest = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    # Without a bit of its payload among the upper ones it would be infinity.
    quiet = np.where(bits & np.uint32(0x007F0000), bits, bits | np.uint32(0x00400000))
    chosen = np.where(np.isnan(values), quiet, nearest)
    return (chosen >> np.uint32(16)).astype(np.uint16)


def _floats(shown: str, name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "f" and array.dtype.itemsize in (2, 4, 8):
        return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
    if array.dtype.kind not in "iub":
        raise fault(
            shown,
            name,
            f"has type {array.dtype}, parameters are float16, bfloat16, float32 or float64",
        )
    if array.dtype.itemsize == 8 and (
        array.max() > MAX_COUNT or (array.dtype.kind == "i" and array.min() < -MAX_COUNT)
    ):
        raise fault(
            shown, name, "holds whole numbers beyond 2^53, which a round does not keep exactly"
        )
    return np.asarray(array, dtype=np.float64, order="C")
