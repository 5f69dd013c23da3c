"""The model that a round starts from, as a file that stays as it is while the round is judged."""

from __future__ import annotations

import shutil
from pathlib import Path

from lomar_cli.errors import InputError
from lomar_cli.files import foreign
from lomar_cli.files.atomic import atomic_path, sync_folder
from lomar_cli.files.importers.registry import read_parameters
from lomar_cli.files.text import printable
from lomar_cli.stages.layout import Layout
from lomar_cli.watching.job import Job
from lomar_cli.watching.state import State


def start_model(job: Job, state: State, fresh: bool = False) -> Path | None:
    """The round's base model: the last aggregated one, or a copy of ``--base-model``.

    The copy is taken once, and ``fresh`` takes it anew: whoever made the file may replace it
    whenever they like. A server that averages by itself (``aggregate`` False) has its model copied
    for each round. None without a base model. InputError for a file that is none, as one that is
    being written may be: there is no copy then.
    """
    if state.model is not None and job.judging.aggregate:
        return job.verdicts / state.model
    if job.base_model is None:
        return None
    folder = job.verdicts if job.judging.aggregate else job.folder(state.round)
    copy = folder / f"base{_ending(job.base_model)}"
    if fresh or not copy.exists():
        if not job.base_model.is_file():
            raise InputError(f"--base-model {printable(str(job.base_model))}: no such file")
        folder.mkdir(exist_ok=True)
        fresh_copy = folder / f".{copy.name}.new"
        with atomic_path(fresh_copy, force=True) as temporary:
            shutil.copyfile(job.base_model, temporary)
        _check(fresh_copy, job)
        fresh_copy.replace(copy)
        sync_folder(folder)
    return copy


def layout_of(path: Path | None, max_bytes: int) -> Layout | None:
    """What a model looks like; InputError for a file that is none."""
    return None if path is None else Layout.of(read_parameters(path, max_bytes))


def model_name(job: Job) -> str:
    """What an aggregated model is called: it ends as the base model does.

    Without a base model it is an update by itself, written as npz.
    """
    if job.base_model is None:
        return "update.npz"
    ending = _ending(job.base_model)
    return f"model{ending if ending in foreign.ENDINGS else '.h5'}"


def _check(copy: Path, job: Job) -> None:
    try:
        read_parameters(copy, job.max_bytes)
    except InputError as error:
        copy.unlink()
        why = str(error).removeprefix(f"{printable(str(copy))}: ")
        raise InputError(f"--base-model {printable(str(job.base_model))}: {why}") from None


def _ending(path: Path) -> str:
    return path.suffix.lower()
