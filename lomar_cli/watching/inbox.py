"""The incoming folder: what lies there, what of it is complete, and where it is moved.

A file is moved, by a rename within its file system, and never copied or removed: so it is either
here or there, whenever the watcher dies, and whoever sends another under the same name meanwhile
finds the name free. ``.lomar`` below the incoming folder holds what was taken, a folder a round,
and what was set aside, with the reasons.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lomar_cli.errors import LomarError
from lomar_cli.files.atomic import atomic_bytes, sync_folder
from lomar_cli.files.importers.registry import client_name
from lomar_cli.files.text import json_text, printable
from lomar_cli.watching.job import round_name

OWN = ".lomar"
# How names end, in any case, while a file is being written.
UNFINISHED = (".tmp", ".part", ".partial", ".filepart")
_SAFE_NAME = 100


@dataclass(frozen=True)
class Seen:
    """An entry as it was last looked at; ``regular`` is False for links, folders and devices."""

    path: Path
    size: int
    modified: int
    regular: bool


class Steady:
    """Tells what has not changed for ``settle`` seconds of ``clock``, which never jumps.

    An empty file counts as being written. Links, folders and devices have nothing to wait for.
    """

    def __init__(self, settle: float, clock: Callable[[], float]) -> None:
        self._settle, self._clock = settle, clock
        self._since: dict[str, tuple[tuple[int, int], float]] = {}

    def is_steady(self, key: str, seen: Seen) -> bool:
        now, mark = self._clock(), (seen.size, seen.modified)
        before = self._since.get(key)
        if before is None or before[0] != mark:
            self._since[key] = before = (mark, now)
        if not seen.regular:
            return True
        return seen.size > 0 and now - before[1] >= self._settle

    def rename(self, old: str, new: str) -> None:
        """What is moved has been looked at already."""
        if old in self._since:
            self._since[new] = self._since.pop(old)

    def only(self, keys: set[str]) -> None:
        """Forget all others."""
        self._since = {key: since for key, since in self._since.items() if key in keys}


class Inbox:
    """The incoming folder during one round."""

    def __init__(self, incoming: Path, round_number: int) -> None:
        self.incoming, self.round = incoming, round_number
        self.taken = taken_folder(incoming, round_number)
        self._aside = incoming / OWN / "aside" / round_name(round_number)

    def prepare(self) -> None:
        self.taken.mkdir(parents=True, exist_ok=True)

    def arrived(self) -> list[Seen]:
        """What lies in the incoming folder under a finished name, the oldest first."""
        found = [
            seen
            for seen in _entries(self.incoming)
            if not seen.path.name.startswith(".")
            and not seen.path.name.lower().endswith(UNFINISHED)
        ]
        return sorted(found, key=lambda seen: (seen.modified, seen.path.name))

    def lying(self) -> list[Seen]:
        """What has been taken for this round, by name."""
        return sorted(_entries(self.taken), key=lambda seen: seen.path.name)

    def take(self, path: Path, client: str) -> Path:
        """Move a file to those of the round, named as its client; the new path.

        A usual ending stays, unless the name would then be read as another client's. Whoever calls
        knows that the client has nothing there yet.
        """
        usual = re.fullmatch(r"\.[A-Za-z0-9]{1,12}", path.suffix)
        target = self.taken / f"{client}{path.suffix}"
        if not usual or client_name(target) != client:
            target = self.taken / f"{client}.file"
        _move(path, target)
        return target

    def set_aside(self, path: Path, reason: str) -> None:
        """Move what cannot be used out of the way, with its reason beside it.

        The reason is written first: a file in its folder always has one.
        """
        files, reasons = self._aside / "files", self._aside / "reasons"
        files.mkdir(parents=True, exist_ok=True)
        reasons.mkdir(exist_ok=True)
        safe = re.sub(r"[^A-Za-z0-9._-]", "_", path.name)[-_SAFE_NAME:]
        name, number = safe, 1
        while os.path.lexists(files / name):
            number += 1
            name = f"{safe}.{number}"
        document = {"file": printable(path.name, 300), "reason": reason, "round": self.round}
        text = json_text(document, indent=None) + "\n"
        atomic_bytes(reasons / f"{name}.reason", text.encode(), force=True)
        _move(path, files / name)

    def aside(self) -> list[dict[str, str]]:
        """``file`` and ``reason`` of what was set aside in this round."""
        found = []
        if (self._aside / "files").is_dir():
            for name in sorted(path.name for path in (self._aside / "files").iterdir()):
                found.append(_reason(self._aside / "reasons" / f"{name}.reason", name))
        return found

    def settle(self) -> None:
        """Make the moves last, also if the machine dies."""
        sync_folder(self.taken)
        sync_folder(self.incoming)


def taken_folder(incoming: Path, round_number: int) -> Path:
    return incoming / OWN / "taken" / round_name(round_number)


def look(path: Path) -> Seen | None:
    """How an entry is now, links not followed; None when it is gone."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Seen(path, found.st_size, found.st_mtime_ns, stat.S_ISREG(found.st_mode))


def check_moves(incoming: Path) -> None:
    """LomarError when files cannot be moved within the incoming folder."""
    own = incoming / OWN
    try:
        own.mkdir(mode=0o700, exist_ok=True)
        probe = own / "probe"
        probe.write_bytes(b"")
        probe.replace(own / "probed")
        (own / "probed").unlink()
    except OSError as error:
        raise LomarError(
            f"{printable(str(incoming))}: files in it cannot be moved to {OWN} below it: "
            f"{error.strerror or error}; the watcher has to be allowed to write there and to rename"
        ) from None


def _entries(folder: Path) -> Iterator[Seen]:
    for path in folder.iterdir():
        seen = look(path)
        if seen is not None:
            yield seen


def _reason(path: Path, name: str) -> dict[str, str]:
    try:
        document = json.loads(path.read_bytes())
        return {"file": str(document["file"]), "reason": str(document["reason"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"file": name, "reason": "its reason was removed"}


def _move(path: Path, target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(f"{target} is there already")
    path.rename(target)
