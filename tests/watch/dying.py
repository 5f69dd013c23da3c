"""A watch killed before its n-th change of the file system, for every n; then one that is not.

    python -m tests.watch.dying FOLDER FIRST STEP

Each try has a folder of its own below FOLDER and is a forked process that ends itself by SIGKILL:
nothing is cleaned up, nothing is flushed. It is started again until it is done, killed once more on
the way if ``FIRST`` says so. Two rounds are played, with files that must be set aside; the clients
of the second send as soon as the first is judged, each file once. Prints a line of JSON a try.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import scipy.linalg  # noqa: F401

import lomar_cli.watching.prometheus  # noqa: F401
from tests.making import tensors, write_round
from tests.watch.playing import Place, Play, npz, trained

CLIENTS = 4
# What changes files, by the names of Python's audit events; "open" counts where it writes.
EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "subprocess.Popen")
OPTIONS: dict[str, Any] = {
    "expect": CLIENTS,
    "rounds": 2,
    "keep": "none",
    "hook": ("true",),
    "judging": {
        "method": "foolsgold",
        "options": {"memory": "true", "keep_from": "0"},
        "rule": "fltrust",
        "remember": 1,
    },
}


def staged(place: Place) -> dict[int, list[Path]]:
    """All files that will be sent, in the order in which they are; and a root round."""
    write_round(place.folder / "root.h5", tensors(1, seed=100))
    found: dict[int, list[Path]] = {}
    for number in (1, 2):
        files = {f"{n}.npz": npz(a) for n, a in trained(number, CLIENTS).items()}
        files = {"bad.npz": b"nothing of use", **files, "site-00.pt": b"a second one"}
        if number == 1:
            # The last good file comes when the second of its client has been seen.
            files["site-03.npz"] = files.pop("site-03.npz")
        else:
            files = dict(sorted(files.items(), key=lambda item: item[0] == "site-03.npz"))
        folder = place.folder / f"staged-{number}"
        folder.mkdir()
        for place_in_line, (name, content) in enumerate(files.items()):
            path = folder / name
            path.write_bytes(content)
            when = 1_000_000 + 100 * number + place_in_line
            os.utime(path, (when, when))
            found.setdefault(number, []).append(path)
    return found


class Clients:
    """Send what has not been sent: a rename, so that each file is sent once, whoever dies."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def send(self) -> None:
        for number in (1, 2):
            if number == 2 and not (self.place.verdicts / "000001" / "verdict.json").exists():
                return
            folder = self.place.folder / f"staged-{number}"
            for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime):
                path.rename(self.place.incoming / path.name)


class Killer:
    """Ends this process before the n-th event; None counts only."""

    def __init__(self, number: int | None) -> None:
        self.number, self.count, self.armed = number, 0, True

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.armed:
            return
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & 3
        if event in EVENTS or writes:
            self.count += 1
            if self.count == self.number:
                os.kill(os.getpid(), signal.SIGKILL)


def run(place: Place, number: int | None, out: Path | None = None) -> None:
    """One watch, to its end or its death."""
    os.fsync = lambda handle: None  # a process that dies takes nothing along that was written
    killer, clients = Killer(number), Clients(place)
    play = Play(place)

    def sleep(seconds: float) -> None:
        killer.armed = False  # what the clients do is not the watcher's
        clients.send()
        killer.armed = True
        play.now += seconds
        if play.now > 1000:
            raise RuntimeError(f"the watch never ends: {play.said}")

    play.sleep = sleep  # type: ignore[method-assign]
    sys.addaudithook(killer)
    judging = {**OPTIONS["judging"], "root": place.folder / "root.h5"}
    play.watch(**{**OPTIONS, "judging": judging})
    killer.armed = False
    if out is not None:
        out.write_text(str(killer.count))


def forked(place: Place, number: int | None, out: Path | None = None) -> int:
    """How the watch ended: 0, or the signal."""
    child = os.fork()
    if child == 0:
        try:
            run(place, number, out)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def seen(place: Place) -> dict[str, str]:
    """What is left: digests of all files that tell nothing of time, by path."""
    found = {}
    for path in sorted(place.folder.rglob("*")):
        name = str(path.relative_to(place.folder))
        if path.name == "metrics.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            for line in lines:
                line.pop("ended")
                line.pop("seconds")
            found[name] = json.dumps(lines)
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def main(folder: Path, first: int, step: int, again: int) -> None:
    folder.mkdir(parents=True)
    whole = Place(folder / "whole")
    staged(whole)
    assert forked(whole, None, folder / "count") == 0
    count = int((folder / "count").read_text())
    wanted = seen(whole)
    print(json.dumps({"events": count, "files": sorted(wanted)}))
    for number in range(first, count + 1, step):
        place = Place(folder / f"try-{number}")
        staged(place)
        ends = [forked(place, number)]
        if again:
            ends.append(forked(place, 1 + number * again % 7))
        ends.append(forked(place, None))
        found = seen(place)
        odd = sorted(n for n in {**found, **wanted} if found.get(n) != wanted.get(n))
        print(json.dumps({"number": number, "ends": ends, "odd": odd}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
