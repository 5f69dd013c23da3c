"""What follows a verdict: a line of metrics, the hook, and clearing up.

All of it may be done again: a watcher that died in the middle does it anew when it is started.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lomar_cli.errors import WriteError
from lomar_cli.files.atomic import sync_folder
from lomar_cli.files.text import json_text, printable
from lomar_cli.watching.inbox import taken_folder
from lomar_cli.watching.job import ROOT, ROUND, Job, Voice
from lomar_cli.watching.judge import VERDICT

_TAIL = 2**16


def add_line(path: Path, line: Mapping[str, Any]) -> None:
    """Append a round's metrics as one line of JSON, unless it is the last one already.

    A last line that a full disk or a kill cut short is taken away first. Whoever turns the file
    over by renaming it finds a new one begun.
    """
    text = (json_text(line, indent=None) + "\n").encode()
    try:
        with path.open("a+b") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _TAIL))
            tail = stream.read()
            cut = len(tail) - (tail.rfind(b"\n") + 1)
            if cut:
                stream.truncate(size - cut)
            # Another watch's line may be of the same round: only this very one is there already.
            if tail[: len(tail) - cut].splitlines(keepends=True)[-1:] == [text]:
                return
            try:
                stream.write(text)
                stream.flush()
            except OSError:
                with contextlib.suppress(OSError):
                    stream.truncate(size - cut)
                raise
            os.fsync(stream.fileno())
        sync_folder(path.parent)
    except OSError as error:
        shown = printable(str(path))
        raise WriteError(f"{shown}: cannot be written: {error.strerror or error}") from None


def call(job: Job, round_number: int, voice: Voice) -> None:
    """Run the hook on the verdict's file, and wait for it.

    No shell looks at it: ``{}`` in a word is the file's path, which comes last where no word says
    so. A hook that fails is reported and changes nothing. It inherits stderr for all that it says,
    as stdout is for data.
    """
    if not job.hook:
        return
    path = str(job.folder(round_number) / VERDICT)
    words = [word.replace("{}", path) for word in job.hook]
    if words == list(job.hook):
        words.append(path)
    shown = printable(words[0])
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=2, check=False)
    except OSError as error:
        voice.warn(f"--exec {shown}: cannot be run: {error.strerror or error}; the watch goes on")
        return
    if done.returncode:
        how = f"exit {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        voice.warn(f"--exec {shown}: round {round_number}: {how}; the watch goes on")


def clear(job: Job, round_number: int, files: Sequence[str]) -> None:
    """Hand what came too late for the round on to the next, and remove what is not to be kept.

    ``keep`` says whose client files and round file stay: none's, the last round's, or all; round
    files that are to be remembered stay as well.
    """
    taken, following = (taken_folder(job.incoming, n) for n in (round_number, round_number + 1))
    following.mkdir(parents=True, exist_ok=True)
    if taken.is_dir():
        for path in sorted(taken.iterdir()):
            if path.name not in files:
                path.rename(following / path.name)
    sync_folder(following)
    clients, rounds = job.kept(round_number)
    _remove_rounds(job, rounds)
    if clients >= 1:
        shutil.rmtree(taken_folder(job.incoming, clients), ignore_errors=True)


def _remove_rounds(job: Job, last: int) -> None:
    """Remove the round files up to round ``last``; more than one where less is kept than before."""
    first = last
    while first >= 1 and (job.folder(first) / ROUND).exists():
        first -= 1
    # The oldest first, and each round's own file last: what a kill leaves is found again.
    for number in range(first + 1, last + 1):
        for name in (ROOT, ROUND):
            (job.folder(number) / name).unlink(missing_ok=True)
