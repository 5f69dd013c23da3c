"""Every model by name. A new one is one file and one line here.

A model's module offers ``initial``, ``group``, ``train`` and ``predict``; see :mod:`logistic`,
which is written out, and :mod:`mlp`, a torch module trained by :mod:`network`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lomar_cli.data.dataset import Dataset
from lomar_cli.errors import UsageError, nearest
from lomar_cli.files.text import printable
from lomar_cli.files.updates import OutputLayer

Ints = NDArray[np.int64]
Parameters = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Training:
    """How a client trains: ``local_steps`` mini-batch steps if given, otherwise ``epochs``.

    The steps are those of ``torch.optim.SGD``; every client begins without momentum.
    """

    epochs: int = 5
    local_steps: int | None = None
    batch_size: int = 20
    lr: float = 0.01
    seed: int = 0
    device: str = "cpu"
    jobs: int = 1
    momentum: float = 0.0
    weight_decay: float = 0.0


@dataclass(frozen=True)
class ClientData:
    """One client: its id, its samples (training indices) and their labels as it sees them."""

    client: str
    samples: Ints
    labels: Ints


class ModelModule(Protocol):
    OUTPUT: OutputLayer

    def initial(self, dataset: Dataset, seed: int = 0) -> dict[str, NDArray[Any]]: ...

    def group(self, start: Parameters) -> int:
        """How many clients are trained together: groups begin at multiples of it."""
        ...

    def train(
        self,
        dataset: Dataset,
        start: Parameters,
        clients: Sequence[ClientData],
        training: Training,
        advance: Callable[[int], None],
    ) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]: ...

    def predict(
        self, parameters: Parameters, features: NDArray[Any], dataset: Dataset | None = None
    ) -> Ints: ...


@dataclass(frozen=True)
class ModelEntry:
    module: str
    about: str


MODELS = {
    "logistic": ModelEntry(
        "logistic", "softmax regression, one fully connected layer (sec. 4.1.2)"
    ),
    "mlp": ModelEntry("mlp", "a perceptron with one hidden layer of 128"),
    "cnn": ModelEntry("cnn", "a small convolutional network, for pictures"),
    "squeezenet": ModelEntry(
        "squeezenet", "SqueezeNet 1.1 of torchvision, untrained, for pictures (sec. 4.1.2)"
    ),
}


def model(name: str, option: str = "--model") -> ModelModule:
    """A model by name; ``option`` is the one that named it."""
    if name not in MODELS:
        known = list(MODELS)
        if option == "--model" and Path(name).is_file():
            raise UsageError(
                f"--model: {printable(name)} is a file, and this takes an architecture "
                f"({', '.join(known)}); it is 'lomar train --init FILE' that starts from one"
            )
        raise UsageError(
            f"{option}: there is no model '{name}'{nearest(name, known)} "
            f"(known: {', '.join(known)})"
        )
    found: Any = importlib.import_module(f"lomar_cli.learning.{MODELS[name].module}")
    checked: ModelModule = found
    return checked
