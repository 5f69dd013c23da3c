"""A file for HDF5 to write to that tells of a full disk, and of Ctrl-C, afterwards.

The HDF5 library cannot close a file whose writes failed, and complains for ever after. So a failed
write is remembered, and all goes on as if it had worked, to a clean end. The same holds for an
interrupt that arrives while the library waits for one of the methods here.
"""

from __future__ import annotations

import _thread
import contextlib
import io
import math
import os
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import h5py

from lomar_cli.files.behind import WriteBehind


class SteadyFile:
    """What h5py asks of a file object. ``error`` is the first write that failed, or None.

    Whatever the library still writes after the end is dropped.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b", buffering=0)
        self._at = 0
        self._behind = WriteBehind(self._file.fileno())
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
            while self._sound() and done < len(view):
                self._file.seek(self._at + done)
                count = self._file.write(view[done:])
                self._behind.wrote(count)
                done += count
        except OSError as error:
            self.error = error
        self._at += len(view)
        return len(view)

    def truncate(self, size: int) -> int:
        try:
            if self._sound():
                self._file.truncate(size)
        except OSError as error:
            self.error = error
        return size

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        try:
            self._behind.end()
        finally:
            self._file.close()

    def _sound(self) -> bool:
        return self.error is None and not self._file.closed

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size


# What the HDF5 library calls back, and what an exception may end in without anyone hearing of it.
_DEAF = (str(Path(h5py.__file__).parent), __file__, weakref.__file__)
# Seconds after which an interrupt that came there is tried again.
_AGAIN = 0.02
# Seconds within which what an interrupt raised has left the block.
_LEAVING = 1.0


@contextlib.contextmanager
def interrupted_outside() -> Iterator[None]:
    """Keep SIGINT out of h5py and :class:`SteadyFile`: the library crashes, or loses it.

    One that arrives there is handled soon after, at the latest at the end of the block. Elsewhere
    in the block it is handled at once. Signals reach the main thread only.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    again: threading.Timer | None = None
    inside, late, waiting, raised = True, False, False, -math.inf

    def send() -> None:
        nonlocal waiting
        waiting = False
        _thread.interrupt_main()

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal again, late, waiting, raised
        if inside and time.monotonic() - raised < _LEAVING:
            # On the way out already: another one would end the clean-up midway.
            return
        if inside and not _deaf(frame):
            late = False
            try:
                before(number, frame)
            except BaseException:
                raised = time.monotonic()
                raise
            return
        late = True
        if inside and not waiting:
            waiting = True
            again = threading.Timer(_AGAIN, send)
            again.start()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        inside = False
        if again is not None and again.is_alive():
            again.cancel()
            again.join()
        # What the timer sent meanwhile is handled as the handler changes, still by ours.
        signal.signal(signal.SIGINT, before)
        if late:
            before(signal.SIGINT, None)


def _deaf(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_DEAF):
            return True
        frame = frame.f_back
    return False
