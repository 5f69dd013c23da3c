"""A file for HDF5 to write to that tells of a full disk afterwards.

The HDF5 library cannot close a file whose writes failed, and complains for ever after. So a failed
write is remembered, and all goes on as if it had worked, to a clean end.
"""

from __future__ import annotations

import io
import os
from pathlib import Path


class SteadyFile:
    """What h5py asks of a file object. ``error`` is the first write that failed, or None."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b", buffering=0)
        self._at = 0
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: 0}[whence]
        self._at = (self._size() if whence == io.SEEK_END else base) + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:
        view = memoryview(buffer).cast("B")
        self._file.seek(self._at)
        done = 0
        while done < len(view) and (count := self._file.readinto(view[done:])):
            done += count
        view[done:] = bytes(len(view) - done)
        self._at += len(view)
        return len(view)

    def write(self, buffer: memoryview) -> int:
        view = memoryview(buffer).cast("B")
        done = 0
        try:
            while self.error is None and done < len(view):
                self._file.seek(self._at + done)
                done += self._file.write(view[done:])
        except OSError as error:
            self.error = error
        self._at += len(view)
        return len(view)

    def truncate(self, size: int) -> int:
        try:
            if self.error is None:
                self._file.truncate(size)
        except OSError as error:
            self.error = error
        return size

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self._file.close()

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size
