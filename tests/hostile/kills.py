"""Every command that writes, killed at random moments; ``benchmarks/kill.py`` does it at length."""

from __future__ import annotations

import json
import random
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.commands import command_line, contents, environment, works
from tests.experiments import made
from tests.making import tensors, write_round

COMMANDS = {
    "partition": "partition digits --clients 40 --samples-per-client 30 -o OUT.h5",
    "attack on a split": "attack label-flip split.h5 --flip 1:7 --malicious 10% "
    "--truth OUT.json -o OUT.h5",
    "attack on a round": "attack sign-flip round.h5 --malicious 20% --truth OUT.json -o OUT.h5",
    "init": "init split.h5 -o OUT.h5",
    "train": "train split.h5 --epochs 1 -o OUT.h5",
    "dump": "dump clients --differences -o OUT.h5",
    "score": "score round.h5 -o OUT.h5",
    "score as csv": "score round.h5 -o OUT.csv",
    "score as json": "score round.h5 --method lomar -o OUT.json",
    "score with a figure": "score round.h5 --method lomar -o OUT.h5 --plot OUT.png",
    "explain": "explain round.h5 c1 --scores scores.h5 --plot OUT.png",
    "filter": "filter round.h5 --scores scores.h5 -o OUT.h5",
    "aggregate": "aggregate round.h5 --scores scores.h5 --from-zero -o OUT.h5",
    "aggregate to npz": "aggregate round.h5 --scores scores.h5 --from-zero -o OUT.npz",
    "evaluate": "evaluate --scores scores.h5 --truth truth.json -o OUT.json",
    "export": "export round.h5 -o OUT.npz",
    "export to a folder": "export round.h5 --folder -o OUT",
    "export scores": "export scores.h5 -o OUT.tsv",
    "drill": "drill small.h5 -o OUT --seeds 1 --shares 10% --attacks sign-flip --methods krum",
    "report": "report results -o OUT",
    "demo": "demo --rounds 1 -q -o OUT",
}
# In place: what is killed is not a new file's making.
APPEND = "dump late --differences --append -o OUT.h5"
# Whose folder is renamed into place as a whole; others replace it file by file.
_WHOLE_FOLDERS = ("export",)


def prepare(folder: Path) -> Path:
    """The inputs of all commands."""
    folder.mkdir(parents=True)
    size = ("--clients", 10, "--samples-per-client", 30)
    works("partition", "digits", *size, "-o", folder / "split.h5")
    write_round(folder / "round.h5", tensors(60, labels=10, features=2000))
    write_round(folder / "small.h5", tensors(12, labels=4, features=20))
    works("score", folder / "round.h5", "-o", folder / "scores.h5")
    (folder / "truth.json").write_text('{"malicious": ["c1"]}')
    works("export", folder / "round.h5", "-o", folder / "clients")
    plan = made.plan([made.setting("digits")], seeds=[0])
    made.folder(folder / "results", plan, made.accuracies)
    late = tensors(1, seed=9, labels=10, features=2000)
    write_round(folder / "late.h5", late, ["late"])
    works("export", folder / "late.h5", "-o", folder / "late")
    return folder


@dataclass
class Killed:
    """What was seen of one command: kills, how often the output was there, what went wrong."""

    tries: int = 0
    kills: int = 0
    complete: int = 0
    left: int = 0
    faults: list[str] = field(default_factory=list)


class Running(Protocol):
    """What a ``Popen`` and a fork have in common."""

    returncode: Any

    def poll(self) -> int | None: ...

    def send_signal(self, sig: int, /) -> None: ...

    def communicate(self, *, timeout: float | None) -> tuple[Any, bytes]: ...


Start = Callable[[Path, list[str]], Running]


def words(command: str, out: str, *more: str) -> list[str]:
    return [*command.replace("OUT", out).split(), *more]


def start(folder: Path, arguments: list[str]) -> Running:
    """A process of its own."""
    return subprocess.Popen(
        command_line(*arguments),
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def kill(
    command: str,
    inputs: Path,
    work: Path,
    count: int,
    seed: int,
    by: int = signal.SIGKILL,
    start: Start = start,
) -> Killed:
    """Run ``command`` in a copy of ``inputs`` and kill it, ``count`` times while it runs.

    A kill that came too late is tried again, but no more than ``count`` are.

    Every second time an older output is there already and ``-f`` is said. Of three kills one comes
    at any moment, one towards the end, and one just after the temporary file came up. How long the
    command takes is measured anew by every complete run, and less is reckoned with after a miss,
    so that most kills hit it on a machine with other work too.
    """
    rng = random.Random(f"{seed} {command}")
    shutil.copytree(inputs, work)
    took = [complete(start, work, words(command, "whole"))]
    given = {name: raw for name, raw in contents(work).items() if not name.startswith("whole")}
    whole = {n.replace("whole", "out", 1): r for n, r in contents(work).items() if n not in given}
    _clear(work, "whole*")
    seen = Killed()
    reach = 1.0
    while seen.kills < count and seen.tries < 2 * count:
        number = seen.tries
        seen.tries += 1
        _clear(work, "out*")
        old = _old(work, whole) if number % 2 else {}
        running = start(work, words(command, "out", *(["-f"] if old else [])))
        begun = time.monotonic()
        if number % 3 == 2:
            while running.poll() is None and not _hidden(work):
                time.sleep(0.0005)
            time.sleep(0.01 * rng.random())
        else:
            share = rng.random() if number % 3 else 0.6 + 0.4 * rng.random()
            time.sleep(reach * statistics.median(took[-5:]) * share)
        moment = time.monotonic() - begun
        running.send_signal(by)
        error = running.communicate(timeout=60)[1].decode()
        seen.kills += running.returncode != 0
        reach = min(1.0, reach * (1.02 if running.returncode else 0.9))
        together = command.split()[0] in _WHOLE_FOLDERS
        seen.faults += [
            f"{number} at {moment:.3f} s: {f}" for f in _faults(work, given, whole, old, together)
        ]
        if by == signal.SIGINT and running.returncode not in (0, 130, -signal.SIGINT):
            seen.faults.append(f"{number}: exit {running.returncode}: {error[-300:]}")
        seen.complete += all((work / name).exists() for name in whole)
        seen.left += len(_hidden(work))
        took.append(complete(start, work, words(command, "out", "-f")))
        after = contents(work)
        if after != {**given, **whole}:
            odd = [name for name in {**after, **whole} if after.get(name) != whole.get(name)]
            seen.faults.append(f"{number}: the next run leaves something else: {odd}")
    return seen


def kill_append(inputs: Path, work: Path, count: int, seed: int, start: Start = start) -> Killed:
    """Append a client to a copy of the round, and kill that, ``count`` times, as ``kill`` does.

    Whoever opens the round next must find it as it was or with the client in it, and nothing else;
    and appending again, where it is not in, must give the bytes of an append that was not killed.
    """
    rng = random.Random(f"{seed} {APPEND}")
    shutil.copytree(inputs, work)
    given = contents(work)
    took = []
    for name in ("whole", "out"):
        shutil.copyfile(work / "round.h5", work / f"{name}.h5")
        took.append(complete(start, work, words(APPEND, name)))
    states = {"before": _said(work, "round.h5"), "after": _said(work, "whole.h5")}
    whole = {
        f"out{n.removeprefix('whole')}": r for n, r in contents(work).items() if n[:5] == "whole"
    }
    _clear(work, "whole*")
    seen = Killed()
    while seen.kills < count and seen.tries < 2 * count:
        number = seen.tries
        seen.tries += 1
        _clear(work, "out*")
        shutil.copyfile(work / "round.h5", work / "out.h5")
        running = start(work, words(APPEND, "out"))
        time.sleep(statistics.median(took[-5:]) * (0.2 + 0.8 * rng.random()))
        running.send_signal(signal.SIGKILL)
        running.communicate(timeout=60)
        seen.kills += running.returncode != 0
        seen.left += len(set(contents(work)) - set(given) - {"out.h5"}) > 0
        state = _said(work, "out.h5")
        if state not in states.values():
            seen.faults.append(f"{number}: the round is neither as before nor as after")
        seen.complete += state == states["after"]
        if state == states["before"]:
            took.append(complete(start, work, words(APPEND, "out")))
        if contents(work) != {**given, **whole}:
            seen.faults.append(f"{number}: the next run leaves something else")
    return seen


def _said(work: Path, name: str) -> str:
    """What a reader says of a round, which finishes what a killed append began."""
    document = json.loads(works("info", work / name, "--json").stdout)
    return json.dumps({**document, "file": ""}, sort_keys=True)


def _clear(work: Path, pattern: str) -> None:
    for path in work.glob(pattern):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _old(work: Path, whole: dict[str, bytes | None]) -> dict[str, bytes | None]:
    """Put something older in the place of every output."""
    old = {name: raw if raw is None else b"old" for name, raw in whole.items()}
    for name, raw in old.items():
        if raw is None:
            (work / name).mkdir()
        else:
            (work / name).write_bytes(raw)
    return old


def complete(start: Start, folder: Path, arguments: list[str]) -> float:
    """Seconds that the command takes when nobody kills it."""
    began = time.monotonic()
    running = start(folder, arguments)
    error = running.communicate(timeout=600)[1]
    assert running.returncode == 0, error
    return time.monotonic() - began


def _hidden(work: Path) -> list[str]:
    """Hidden files, and all that lies in hidden folders."""
    found = (str(path.relative_to(work)) for path in work.rglob("*"))
    return [name for name in found if any(part.startswith(".") for part in Path(name).parts)]


def _faults(
    work: Path,
    given: dict[str, bytes | None],
    whole: dict[str, bytes | None],
    old: dict[str, bytes | None],
    together: bool,
) -> Iterator[str]:
    now = contents(work)
    there = {name: raw for name, raw in now.items() if name in whole}
    if together and there not in ({}, whole, old):
        yield "half of its folder is there"
    for name, raw in given.items():
        if now.get(name) != raw:
            yield f"the input {name} was touched"
    for name, raw in () if together else whole.items():
        if now.get(name, b"absent") not in (raw, old.get(name, b"absent")):
            yield f"{name} is neither complete nor as before"
    for name in set(now) - set(given) - set(whole) - set(_hidden(work)):
        yield f"{name} was left behind"
