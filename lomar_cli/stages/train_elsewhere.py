"""Groups of a split's clients trained by other processes, which read the data for themselves."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lomar_cli.engine.base import Engine
from lomar_cli.engine.checks import ask, check_files
from lomar_cli.errors import InputError
from lomar_cli.files.text import printable
from lomar_cli.learning.registry import Training
from lomar_cli.learning.schedule import Arrays
from lomar_cli.stages.elsewhere import Place, place_for
from lomar_cli.stages.trainees import Trainees, trainees


@dataclass(frozen=True)
class _Recipe:
    """All that a worker needs to train some of the clients: where to read, and what is there."""

    split: Path
    split_sha256: str | None
    architecture: str
    start: Path | None
    base_sha256: str
    training: Training
    place: Place
    data_file: Path | None


def train_elsewhere(
    engine: Engine,
    found: Trainees,
    path: Path,
    start: Path | None,
    training: Training,
    data_dir: Path | None,
    data_file: Path | None,
) -> Iterator[tuple[int, Arrays]]:
    """Yield ``(first client, updates)`` for each group of clients, in order.

    The groups are those that training here would make, so that the bytes are the same. Every
    worker must see the split, the model and the data set (LomarError, before any is trained).
    """
    paths = [one.absolute() for one in (path, start) if one is not None]
    check_files(engine, paths)
    recipe = _Recipe(
        paths[0],
        found.split.sha256,
        found.architecture,
        paths[1] if start is not None else None,
        found.base_sha256,
        # Workers train one group each at a time.
        replace(training, jobs=1),
        place_for(engine, data_dir),
        data_file,
    )
    ask(engine, _ready, recipe)
    size, count = found.module.group(found.parameters), len(found.clients)
    calls = ((recipe, first, min(first + size, count)) for first in range(0, count, size))
    # Two groups a worker, so that none waits; no more, as each is many updates to hold.
    yield from engine.ordered(_trained, calls, ahead=2 * engine.workers)


def _trained(recipe: _Recipe, first: int, stop: int) -> tuple[int, Arrays]:
    """On a worker: the updates of the clients from ``first`` to before ``stop``, one group."""
    found = _found(recipe)
    some = found.clients[first:stop]
    ((_, updates),) = found.module.train(
        found.data, found.parameters, some, recipe.training, lambda count: None
    )
    return first, updates


def _ready(recipe: _Recipe) -> None:
    """On a worker: raise unless all is there, and the same."""
    _found(recipe)


@functools.lru_cache(maxsize=1)
def _found(recipe: _Recipe) -> Trainees:
    """What a worker trains, read once for all its groups."""
    found = trainees(
        recipe.split,
        recipe.architecture,
        recipe.start,
        recipe.training.seed,
        recipe.place.folder(),
        recipe.place.file(recipe.data_file),
    )
    if (found.split.sha256, found.base_sha256) != (recipe.split_sha256, recipe.base_sha256):
        raise InputError(
            f"{printable(str(recipe.split))}: another split, or another model to start from, than "
            "where the command was given"
        )
    return found
