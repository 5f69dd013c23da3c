"""One npy array from a stream: its head, checked before memory is asked for, and its numbers."""

from __future__ import annotations

import math
import struct
import tokenize
import warnings
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lomar_cli.errors import InputError
from lomar_cli.files.text import printable

_MAX_DIMENSIONS = 32
_PIECE = 2**20
# NumPy evaluates the header as a Python literal: all that it may raise on a stranger's text.
_HEADER_FAULTS = (
    ValueError,
    EOFError,
    struct.error,
    TypeError,
    IndexError,
    KeyError,
    SyntaxError,
    RecursionError,
    MemoryError,
    tokenize.TokenError,
)


@dataclass(frozen=True)
class NpyHead:
    """What an npy array says of itself, checked: its bytes are there and of a type let through."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy_head(
    stream: Any, size: int, shown: str, name: str, max_bytes: int, kinds: str
) -> NpyHead:
    """Read and check the head of an npy array of which ``size`` bytes are there."""
    field = printable(name)
    try:
        version = npy.read_magic(stream)
        header = {1: npy.read_array_header_1_0, 2: npy.read_array_header_2_0}.get(version[0])
        if header is None:
            raise InputError(f"{shown}: {field}: npy version {version} is not read")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, fortran, dtype = header(stream)
    except _HEADER_FAULTS as error:
        raise InputError(
            f"{shown}: {field}: is no valid npy array ({printable(str(error), 60)})"
        ) from None
    if dtype.hasobject:
        raise InputError(
            f"{shown}: {field}: holds Python objects (a pickle), which are never loaded; "
            "save plain float arrays"
        )
    # Texts may be of any length but none.
    odd_size = dtype.itemsize == 0 or (dtype.kind not in "SU" and dtype.itemsize > 8)
    if dtype.kind not in kinds or odd_size or dtype.shape:
        needed = (
            "parameters are float16, float32 or float64" if kinds == "f" else "which is refused"
        )
        if dtype.kind == "V" and not dtype.fields:
            # What NumPy makes of the bfloat16 and float8 of JAX, and nobody can tell apart.
            needed = "of no meaning by itself; bfloat16 has to be made float32 before it is saved"
        raise InputError(f"{shown}: {field}: has type {dtype}, {needed}")
    # NumPy's own check takes a truth value for a number, and cannot make an array of it then.
    odd = any(isinstance(extent, bool) or extent < 0 for extent in shape)
    if odd or len(shape) > _MAX_DIMENSIONS:
        raise InputError(f"{shown}: {field}: declares the shape {printable(str(shape))}")
    wanted = math.prod(shape) * dtype.itemsize
    if wanted > max_bytes or wanted > size:
        raise InputError(
            f"{shown}: {field}: declares {wanted:,} bytes, but only {size:,} are there"
            if wanted > size
            else f"{shown}: {field}: declares {wanted:,} bytes, more than {max_bytes:,}; "
            "raise --max-bytes if that is right"
        )
    return NpyHead(shape, fortran, dtype)


def read_exactly(stream: IO[bytes], count: int, shown: str, name: str) -> NDArray[np.uint8]:
    """The next ``count`` bytes; InputError where the stream ends before.

    By small pieces: a zip member read at once is copied as a whole, out of the processor's cache.
    """
    raw = np.empty(count, np.uint8)
    view = raw.data
    done = 0
    while done < count:
        piece = stream.read(min(_PIECE, count - done))
        if not piece:
            raise InputError(f"{shown}: {printable(name, 60)}: is cut short")
        view[done : done + len(piece)] = piece
        done += len(piece)
    return raw


def read_npy(
    stream: Any, size: int, shown: str, name: str, max_bytes: int, kinds: str
) -> NDArray[Any]:
    """Read an npy array from a stream that has ``size`` bytes of it left."""
    head = read_npy_head(stream, size, shown, name, max_bytes, kinds)
    flat = read_exactly(stream, head.nbytes, shown, name).view(head.dtype)
    array = flat.reshape(head.shape, order="F" if head.fortran else "C")
    return np.asarray(array, dtype=head.dtype.newbyteorder("="), order="C")
