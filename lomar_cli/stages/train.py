"""Train every client of a split from one model: the round of their updates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.data.stamped import with_stamped
from lomar_cli.errors import InputError, LomarError, UsageError
from lomar_cli.files.atomic import check_output
from lomar_cli.files.model import Model, parameters_sha256, read_model
from lomar_cli.files.provenance import extend
from lomar_cli.files.round import RoundHead, create_round
from lomar_cli.files.split import read_split
from lomar_cli.files.text import printable
from lomar_cli.learning.registry import ClientData, Training, model
from lomar_cli.stages.source import check_stamp, load_for


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
) -> RoundHead:
    """Write the round of updates of every client in the split ``path``; return its head.

    ``start`` is the model file they start from (default: the architecture's initial model, which
    ``stages.init_model`` writes; a network's is random, from the training's seed).
    ``begin`` hears the number of clients, ``advance`` how many more are done.
    """
    check_output(output, force)
    training = training or Training()
    check_training(training)
    split = read_split(path)
    data = load_for(split, path, data_dir, data_file)
    base = read_model(start) if start is not None else None
    architecture = architecture or (base.architecture if base else "") or "logistic"
    module = model(architecture)
    initial = module.initial(data, training.seed)
    parameters = base.parameters if base is not None else initial
    if base is not None and start is not None:
        check_fit(start, base, initial)
    labels = split.client_labels(data.y_train)
    samples = list(split.samples)
    if split.stamp is not None:
        check_stamp(split, path, data)
        data, samples = with_stamped(data, samples, split.stamp)
    clients = [
        ClientData(name, own, seen)
        for name, own, seen in zip(split.clients, samples, labels, strict=True)
    ]
    for client in clients:
        if len(client.samples) == 0:
            raise InputError(f"{printable(str(path))}: client '{client.client}' has no samples")
    base_sha256 = parameters_sha256(parameters)
    head = RoundHead(
        clients=split.clients,
        num_examples=np.array([len(own) for own in split.samples], np.int64),
        shapes={name: value.shape for name, value in initial.items()},
        dtypes={name: np.dtype(np.float32) for name in initial},
        output=module.OUTPUT,
        labels=split.labels,
        round_number=(base.round_number if base else 0) + 1,
        base_sha256=base_sha256,
        architecture=architecture,
    )
    options = {key: value for key, value in asdict(training).items() if key not in _UNSAID}
    chain = extend(
        "train",
        {"model": architecture, **options},
        {"split": split.sha256, "model": base_sha256},
        [split.provenance, (base.provenance or []) if base else []],
        training.seed,
    )
    begin(len(clients))
    with create_round(output, head, chain, force) as writer:
        for first, updates in module.train(data, parameters, clients, training, advance):
            check_finite(updates, split.clients, first)
            writer.write(first, updates)
    return head


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


def check_fit(path: Path, base: Model, initial: dict[str, Any]) -> None:
    """Refuse a model whose parameters are not those of the architecture on this data."""
    found = {name: value.shape for name, value in base.parameters.items()}
    wanted = {name: value.shape for name, value in initial.items()}
    if found != wanted:
        raise InputError(f"{printable(str(path))}: parameters are {found}, needed are {wanted}")


def check_finite(updates: dict[str, Any], clients: Any, first: int) -> None:
    """A diverged training run must not look like a round."""
    for values in updates.values():
        bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        if bad.any():
            client = clients[first + int(bad.argmax())]
            raise LomarError(f"training of client '{client}' diverged; lower --lr")
