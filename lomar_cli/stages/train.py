"""Train every client of a split from one model: the round of their updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.engine.base import Engine
from lomar_cli.errors import LomarError, UsageError
from lomar_cli.files.atomic import check_output
from lomar_cli.files.provenance import extend
from lomar_cli.files.round import RoundHead, create_round
from lomar_cli.learning.registry import Training
from lomar_cli.learning.schedule import Arrays
from lomar_cli.stages.train_elsewhere import train_elsewhere
from lomar_cli.stages.trainees import sizes, trainees


def train(
    path: Path,
    output: Path,
    architecture: str | None = None,
    start: Path | None = None,
    training: Training | None = None,
    data_dir: Path | None = None,
    force: bool = False,
    advance: Callable[[int], None] = lambda count: None,
    begin: Callable[[int], None] = lambda total: None,
    data_file: Path | None = None,
    engine: Engine | None = None,
) -> RoundHead:
    """Write the round of updates of every client in the split ``path``; return its head.

    ``start`` is the model file they start from (default: the architecture's initial model, which
    ``stages.init_model`` writes; a network's is random, from the training's seed).
    ``begin`` hears the number of clients, ``advance`` how many more are done. Workers of an
    ``engine`` elsewhere train the clients in groups; the bytes are the same.
    """
    check_output(output, force)
    training = training or Training()
    check_training(training)
    found = trainees(path, architecture, start, training.seed, data_dir, data_file)
    split, base = found.split, found.base
    head = RoundHead(
        clients=split.clients,
        num_examples=sizes(found),
        shapes={name: value.shape for name, value in found.initial.items()},
        dtypes={name: np.dtype(np.float32) for name in found.initial},
        output=found.module.OUTPUT,
        labels=split.labels,
        round_number=(base.round_number if base else 0) + 1,
        base_sha256=found.base_sha256,
        architecture=found.architecture,
    )
    options = {key: value for key, value in asdict(training).items() if key not in _UNSAID}
    chain = extend(
        "train",
        {"model": found.architecture, **options},
        {"split": split.sha256, "model": found.base_sha256},
        [split.provenance, (base.provenance or []) if base else []],
        training.seed,
    )
    begin(len(found.clients))
    with create_round(output, head, chain, force) as writer:
        if engine is None or not engine.remote:
            made = found.module.train(
                found.data, found.parameters, found.clients, training, advance
            )
        else:
            told = train_elsewhere(engine, found, path, start, training, data_dir, data_file)
            made = _heard(told, advance)
        for first, updates in made:
            check_finite(updates, split.clients, first)
            writer.write(first, updates)
    return head


def _heard(
    made: Iterator[tuple[int, Arrays]], advance: Callable[[int], None]
) -> Iterator[tuple[int, Arrays]]:
    """Tell ``advance`` of every group that comes."""
    for first, updates in made:
        advance(len(next(iter(updates.values()))))
        yield first, updates


# Options that do not change the result, and the seed, which stands for itself.
_UNSAID = {"jobs", "seed"}


def check_training(training: Training) -> None:
    """Refuse settings that train nothing."""
    for name, value in (
        ("--epochs", training.epochs),
        ("--local-steps", training.local_steps),
        ("--batch-size", training.batch_size),
        ("--jobs", training.jobs),
    ):
        if value is not None and value < 1:
            raise UsageError(f"{name} {value}: must be at least 1")
    if not 0 <= training.momentum < 1:
        raise UsageError(f"--momentum {training.momentum}: must lie in [0, 1)")
    if not 0 <= training.weight_decay < float("inf"):
        raise UsageError(f"--weight-decay {training.weight_decay}: must be a number from 0")
    if not 0 < training.lr < float("inf"):
        raise UsageError(f"--lr {training.lr}: must be a number above 0")


def check_finite(updates: dict[str, Any], clients: Any, first: int) -> None:
    """A diverged training run must not look like a round."""
    for values in updates.values():
        bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        if bad.any():
            client = clients[first + int(bad.argmax())]
            raise LomarError(f"training of client '{client}' diverged; lower --lr")
