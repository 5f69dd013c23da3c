"""Before calls go elsewhere: can every worker see the storage, the files, and the data set?

All of it is nothing for engines of this machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lomar_cli.engine.base import Engine
from lomar_cli.errors import LomarError
from lomar_cli.files.text import printable

# Seconds that a network file system may take to show what another machine wrote.
PATIENCE = 5.0
# How much of each end of a file is compared: two files of one name are hardly the same there.
_ENDS = 2**20


def check_folder(engine: Engine, folder: Path) -> None:
    """Every worker must find what is written to ``folder`` here, and the reverse.

    Small files are written there for it, and taken away. LomarError names the worker; where files
    are not locked between machines, that is noted.
    """
    if not engine.remote:
        return
    word, answer = secrets.token_hex(16), secrets.token_hex(16)
    probe = folder / f".probe-{word}"
    shown = printable(str(folder))
    answers: list[Path] = []
    try:
        probe.write_text(word)
        with _locked(probe):
            said = engine.everywhere(_answer, probe, word, answer)
        # Noted first: they are taken away also where another worker sees nothing.
        answers = [folder / one[0] for one in said.values() if not isinstance(one, BaseException)]
        found = _agreed(engine, said)
        for worker, path in zip(found, answers, strict=True):
            if not _in_time(functools.partial(_holds, path, answer)):
                raise LomarError(
                    f"{engine.where}: what worker {worker} writes to {shown} is not there; name a "
                    "folder on storage that all workers share"
                )
        if not all(kept_out for _, kept_out in found.values()):
            engine.note(
                f"{shown}: files there are not locked between machines; do not start a second run "
                "on it while workers of a first may be at work"
            )
    finally:
        for path in (probe, *answers):
            path.unlink(missing_ok=True)


def check_files(engine: Engine, paths: Sequence[Path]) -> None:
    """Every worker must find the very files that lie at ``paths`` here; LomarError names it."""
    if engine.remote:
        ask(engine, _same_files, [(path, *_told(path)) for path in paths])


def ask(engine: Engine, function: Callable[..., Any], *args: Any) -> dict[str, Any]:
    """What ``function(*args)`` returns on every worker; LomarError names the one that refuses."""
    return _agreed(engine, engine.everywhere(function, *args))


def _agreed(engine: Engine, found: Mapping[str, Any]) -> dict[str, Any]:
    for worker, answer in sorted(found.items()):
        if isinstance(answer, BaseException):
            reason = str(answer) if isinstance(answer, LomarError | OSError) else repr(answer)
            raise LomarError(f"{engine.where}: worker {worker}: {' '.join(reason.split())}")
    return dict(found)


def _answer(probe: Path, word: str, answer: str) -> tuple[str, bool]:
    """On a worker: read the probe, and leave an answer beside it.

    Returns the answer's name, and whether the lock that is on the probe keeps this worker out.
    """
    shown = printable(str(probe.parent))
    if not _in_time(functools.partial(_holds, probe, word)):
        raise LomarError(
            f"cannot see {shown} as it is here; name a folder on storage that all workers share"
        )
    path = probe.with_name(f"{probe.name}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        path.write_text(answer)
    except OSError as error:
        raise LomarError(f"cannot write to {shown} ({error.strerror})") from None
    return path.name, _kept_out(probe)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("r+b") as file:
        # Where there are no locks at all, workers will find that out.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _kept_out(path: Path) -> bool:
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False


def _same_files(files: Sequence[tuple[Path, int, str]]) -> None:
    """On a worker: raise for the first file that is absent or another one."""
    for path, size, digest in files:
        shown = printable(str(path))
        if not _in_time(path.is_file):
            raise LomarError(f"{shown}: is not there; put it on storage that all workers share")
        if _told(path) != (size, digest):
            raise LomarError(f"{shown}: is another file there; put it on storage all workers share")


def _told(path: Path) -> tuple[int, str]:
    """The size of a file, and a digest of its ends."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(file.read(_ENDS))
        file.seek(max(0, size - _ENDS))
        digest.update(file.read(_ENDS))
    return size, digest.hexdigest()


def _holds(path: Path, text: str) -> bool:
    return path.read_text() == text


def _in_time(seen: Callable[[], bool]) -> bool:
    """True once ``seen`` says so; network file systems show late what others wrote."""
    until = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if seen():
                return True
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
