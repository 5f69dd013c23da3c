"""``.npz`` and ``.npy`` from strangers, read without ever unpickling, and npz written.

A header may lie about its shape and an archive about its size: both are compared with what the
file really holds before memory is asked for.
"""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lomar_cli.errors import InputError
from lomar_cli.files.bombs import check_unpacked
from lomar_cli.files.npy import read_npy
from lomar_cli.files.text import name_fault, printable
from lomar_cli.files.zips import open_archive

NPY_NAME = "update"
DEFAULT_MAX_BYTES = 16 * 2**30
ZIP = b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"
NPY = b"\x93NUMPY"


@dataclass(frozen=True)
class Archive:
    """An open npz: its arrays by name, each of which is there once."""

    file: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]
    shown: str
    max_bytes: int


def read_arrays(
    path: Path, max_bytes: int = DEFAULT_MAX_BYTES, kinds: str = "f"
) -> dict[str, NDArray[Any]]:
    """Read the named arrays of one ``.npz`` or ``.npy`` file, told apart by content.

    ``kinds`` are NumPy's letters for the types let through: by default floats, as parameters are.
    """
    shown = printable(str(path))
    if not path.is_file():
        raise InputError(f"{shown}: no such file")
    try:
        with path.open("rb") as stream:
            head = stream.read(6)
            stream.seek(0)
            if head.startswith((ZIP, EMPTY_ZIP)):
                with open_zip(path, max_bytes) as archive:
                    arrays = {n: read_member(archive, n, kinds) for n in archive.members}
            elif head == NPY:
                size = path.stat().st_size
                arrays = {NPY_NAME: read_npy(stream, size, shown, NPY_NAME, max_bytes, kinds)}
            else:
                raise InputError(f"{shown}: is neither an npz nor an npy file")
    except OSError as error:
        raise InputError(f"{shown}: cannot be read: {error.strerror or error}") from None
    if not arrays:
        raise InputError(f"{shown}: holds no arrays")
    for name, array in arrays.items():
        fault = name_fault(name)
        if fault:
            raise InputError(f"{shown}: the parameter '{printable(name, 40)}' is refused: {fault}")
        if array.size == 0:
            raise InputError(f"{shown}: {printable(name)}: is empty, shape {array.shape}")
    return arrays


@contextlib.contextmanager
def open_zip(path: Path, max_bytes: int) -> Iterator[Archive]:
    """Yield the npz in ``path``, after checking what it declares; damage becomes an InputError."""
    shown = printable(str(path))
    with open_archive(path, "npz") as archive:
        members = _members(archive, shown, max_bytes)
        declared = sum(member.file_size for member in members.values())
        check_unpacked(shown, declared, path.stat().st_size)
        yield Archive(archive, members, shown, max_bytes)


def read_member(archive: Archive, name: str, kinds: str) -> NDArray[Any]:
    """One array of an npz."""
    member = archive.members[name]
    with archive.file.open(member) as inner:
        array = read_npy(inner, member.file_size, archive.shown, name, archive.max_bytes, kinds)
        check_end(inner, archive.shown, name)
        return array


def check_end(member: IO[bytes], shown: str, name: str) -> None:
    """Refuse a member that goes on after its array; only its end has its checksum compared."""
    if member.read(1):
        raise InputError(f"{shown}: {printable(name)}: holds more bytes than its shape needs")


def write_npz(stream: IO[bytes], arrays: Mapping[str, Any]) -> None:
    """Write an npz whose bytes depend on the arrays alone (NumPy's own stamps the time).

    ``arrays`` may also be data sets of an open file, which are copied block by block.
    """
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(member, "w", force_zip64=True) as inner:
                head = {
                    "descr": npy.dtype_to_descr(np.dtype(array.dtype)),
                    "fortran_order": False,
                    "shape": tuple(array.shape),
                }
                npy.write_array_header_1_0(inner, head)
                for block in blocks(array):
                    inner.write(block.data)


def blocks(array: Any, max_bytes: int = 2**24, little: bool = False) -> Iterator[NDArray[np.uint8]]:
    """The bytes of an array or data set in C order, in blocks of bounded size.

    ``little`` turns them into little-endian ones, whatever the array's own order.
    """
    dtype = np.dtype(array.dtype)
    if little:
        dtype = dtype.newbyteorder("<")
    if not array.shape:
        yield np.asarray(array[()], dtype).reshape(1).view(np.uint8)
        return
    row = max(1, math.prod(array.shape[1:]) * dtype.itemsize)
    step = max(1, max_bytes // row)
    for start in range(0, array.shape[0], step):
        part = np.ascontiguousarray(array[start : start + step], dtype=dtype)
        yield part.reshape(-1).view(np.uint8)


def _members(archive: zipfile.ZipFile, shown: str, max_bytes: int) -> dict[str, zipfile.ZipInfo]:
    members = archive.infolist()
    declared = sum(member.file_size for member in members)
    if declared > max_bytes:
        raise InputError(
            f"{shown}: declares {declared:,} bytes, more than {max_bytes:,}; "
            "raise --max-bytes if that is right"
        )
    found: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(f"{shown}: is compressed in a way that NumPy does not write")
        name = member.filename.removesuffix(".npy")
        if name in found:
            raise InputError(f"{shown}: the parameter '{printable(name)}' is there twice")
        found[name] = member
    return found
