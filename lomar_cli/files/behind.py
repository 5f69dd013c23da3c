"""Send what was written to the disk while more is being made, so that the sync at the end is short.

Left to itself the kernel holds back up to a tenth of the memory, and begins with it at the end.
"""

from __future__ import annotations

import contextlib
import os
import threading

_STEP = 64 * 2**20


class WriteBehind:
    """Syncs the file open as ``handle`` in a thread, again and again as more is written to it.

    It is a matter of speed alone: whoever needs the file on the disk syncs it at the end. That
    one, of a file opened before, is also told of what failed here.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._unsynced = 0
        self._thread: threading.Thread | None = None

    def wrote(self, count: int) -> None:
        """So many bytes more were written."""
        self._unsynced += count
        if self._unsynced < _STEP or (self._thread is not None and self._thread.is_alive()):
            return
        self._unsynced = 0
        self._thread = threading.Thread(target=self._sync, name="lomar-write-behind", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Wait for the thread: afterwards the file may be closed."""
        if self._thread is not None:
            self._thread.join()

    def _sync(self) -> None:
        with contextlib.suppress(OSError):
            os.fsync(self._handle)
