"""What training starts from: the split's clients with their samples, and the first model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.data.dataset import Dataset
from lomar_cli.data.stamped import with_stamped
from lomar_cli.errors import InputError
from lomar_cli.files.model import Model, parameters_sha256, read_model
from lomar_cli.files.split import Split, read_split
from lomar_cli.files.text import printable
from lomar_cli.learning.registry import ClientData, ModelModule, model
from lomar_cli.stages.source import check_stamp, load_for


@dataclass(frozen=True)
class Trainees:
    """A split's clients, ready to be trained from ``parameters``, which ``base`` may have brought.

    ``initial`` is what the architecture itself would start from, ``base_sha256`` the digest of
    ``parameters``.
    """

    split: Split
    data: Dataset
    architecture: str
    module: ModelModule
    base: Model | None
    initial: dict[str, NDArray[Any]]
    parameters: dict[str, NDArray[Any]]
    base_sha256: str
    clients: list[ClientData]


def trainees(
    path: Path,
    architecture: str | None,
    start: Path | None,
    seed: int,
    data_dir: Path | None,
    data_file: Path | None,
) -> Trainees:
    """Read the split ``path``, its data set, and the model file ``start`` (None: the initial)."""
    split = read_split(path)
    data = load_for(split, path, data_dir, data_file)
    base = read_model(start) if start is not None else None
    architecture = architecture or (base.architecture if base else "") or "logistic"
    module = model(architecture)
    initial = module.initial(data, seed)
    if base is not None and start is not None:
        check_fit(start, base, initial)
    parameters = dict(base.parameters if base is not None else initial)
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
    digest = parameters_sha256(parameters)
    return Trainees(split, data, architecture, module, base, initial, parameters, digest, clients)


def sizes(found: Trainees) -> NDArray[np.int64]:
    """How many samples each client trains on, shape (clients,)."""
    return np.array([len(own) for own in found.split.samples], np.int64)


def check_fit(path: Path, base: Model, initial: dict[str, Any]) -> None:
    """Refuse a model whose parameters are not those of the architecture on this data."""
    found = {name: value.shape for name, value in base.parameters.items()}
    wanted = {name: value.shape for name, value in initial.items()}
    if found != wanted:
        raise InputError(f"{printable(str(path))}: parameters are {found}, needed are {wanted}")
