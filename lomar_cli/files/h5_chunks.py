"""Packed chunks that would unpack to more than a chunk holds, told before HDF5 unpacks them.

The library inflates a chunk to its end, whatever size the file declares for it: some kilobytes
may become gigabytes in memory.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import h5py

from lomar_cli.errors import InputError

# No gzip reaches this; and what is smaller than this unpacked harms nobody.
MAX_RATIO = 1100
_SMALL = 16 * 2**20
_PIECE = 2**16
# A checksum that was put before gzip is unpacked, too.
_CHECKSUM = 4


def check_chunks(named: str, item: h5py.Dataset) -> None:
    """InputError unless each gzip chunk unpacks to at most its declared size.

    ``named`` is the file and the data set, for errors. Only chunks large enough to become much
    are unpacked for it, piece by piece.
    """
    plist = item.id.get_create_plist()
    codes = [plist.get_filter(place)[0] for place in range(plist.get_nfilters())]
    if len(set(codes)) < len(codes):
        raise InputError(f"{named}: uses a filter twice, which is refused")
    if not item.chunks or h5py.h5z.FILTER_DEFLATE not in codes:
        return
    place = codes.index(h5py.h5z.FILTER_DEFLATE)
    if set(codes[place + 1 :]) - {h5py.h5z.FILTER_FLETCHER32}:
        raise InputError(f"{named}: uses a filter after gzip, which is refused")
    most = math.prod(item.chunks) * int(item.id.get_type().get_size()) + _CHECKSUM
    there = item.file.id.get_filesize()
    for offset, mask, stored in _chunks(named, item):
        if stored > there:
            raise InputError(f"{named}: has a chunk larger than the file")
        if mask & (1 << place) or stored * MAX_RATIO <= max(_SMALL, most):
            continue
        _check_unpacked(named, item.id.read_direct_chunk(offset)[1], most)


def _chunks(named: str, item: h5py.Dataset) -> list[tuple[tuple[int, ...], int, int]]:
    """Where each chunk begins, which filters it does without, and its bytes as stored."""
    wanted = math.prod(
        -(-extent // chunk) for extent, chunk in zip(item.shape, item.chunks, strict=True)
    )
    found: list[tuple[tuple[int, ...], int, int]] = []

    def see(info: Any) -> bool | None:
        found.append((info.chunk_offset, info.filter_mask, info.size))
        # What is returned ends the iteration.
        return True if len(found) > wanted else None

    if hasattr(item.id, "chunk_iter"):
        item.id.chunk_iter(see)
    else:
        for number in range(min(item.id.get_num_chunks(), wanted + 1)):
            see(item.id.get_chunk_info(number))
    if len(found) > wanted:
        raise InputError(f"{named}: has more chunks than its shape")
    return found


def _check_unpacked(named: str, raw: bytes, most: int) -> None:
    unpacker, size = zlib.decompressobj(), 0
    try:
        for start in range(0, len(raw), _PIECE):
            piece = raw[start : start + _PIECE]
            while piece and not unpacker.eof:
                size += len(unpacker.decompress(piece, 2**20))
                if size > most:
                    raise InputError(
                        f"{named}: has a chunk that unpacks to more than its {most:,} bytes"
                    )
                piece = unpacker.unconsumed_tail
            if unpacker.eof:
                return
    except zlib.error:
        raise InputError(f"{named}: has a chunk that is no gzip; the file is damaged") from None
