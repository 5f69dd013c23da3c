"""What methods and rules may ask for beside the round: a root round, earlier rounds."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from lomar_cli.errors import InputError
from lomar_cli.files.atomic import atomic_path, sync_folder
from lomar_cli.files.round import open_rounds
from lomar_cli.files.text import printable
from lomar_cli.watching.job import ROOT, ROUND, Job
from lomar_cli.watching.state import State


def start_root(job: Job, state: State, fresh: bool = False) -> Path | None:
    """The round's copy of ``--root``, which stays as it is while the round is judged.

    Taken when the round is over (``fresh``), as whoever trusts it may replace it for the next.
    None without ``--root``; InputError for a file that is no round: there is no copy then.
    """
    if job.judging.root is None:
        return None
    folder = job.folder(state.round)
    copy = folder / ROOT
    if fresh or not copy.exists():
        check_root(job)
        folder.mkdir(exist_ok=True)
        made = folder / f".{ROOT}.new"
        with atomic_path(made, force=True) as temporary:
            shutil.copyfile(job.judging.root, temporary)
        try:
            _check(made, job.judging.root)
        except InputError:
            made.unlink()
            raise
        made.replace(copy)
        sync_folder(folder)
    return copy


def check_root(job: Job) -> None:
    """InputError when ``--root`` is given and no round lies there."""
    if job.judging.root is not None:
        if not job.judging.root.is_file():
            raise InputError(f"--root {printable(str(job.judging.root))}: no such file")
        _check(job.judging.root, job.judging.root)


def earlier_rounds(job: Job, round_number: int) -> Sequence[Path]:
    """The files of the last ``remember`` rounds before this one, the oldest first."""
    first = max(1, round_number - job.judging.remember)
    paths = [job.folder(number) / ROUND for number in range(first, round_number)]
    return [path for path in paths if path.exists()]


def _check(path: Path, named: Path) -> None:
    try:
        with open_rounds(path, -1, verify=False, updates=False):
            pass
    except InputError as error:
        why = str(error).removeprefix(f"{printable(str(path))}: ")
        raise InputError(f"--root {printable(str(named))}: {why}") from None
