"""The mean cross-entropy of a model on some samples, as a function of its parameters.

Softmax regression needs no torch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.data.dataset import Dataset
from lomar_cli.errors import LomarError
from lomar_cli.learning.registry import Parameters, model

Ints = NDArray[np.int64]
_BATCH = 256


def loss_on(
    architecture: str, dataset: Dataset, samples: Ints, labels: Ints
) -> Callable[[Parameters], float]:
    """The mean loss on these training samples with these labels, for any parameters.

    It is infinite or NaN where the model's answers are. LomarError when the model needs torch and
    there is none.
    """
    if architecture == "logistic":
        features = dataset.features(samples).astype(np.float64)
        return lambda parameters: _softmax(parameters, features, labels)
    if importlib.util.find_spec("torch") is None:
        raise LomarError("this model needs torch: pip install 'lomar-cli[train]'")
    return _network(architecture, dataset, samples, labels)


def _softmax(parameters: Parameters, features: NDArray[np.float64], labels: Ints) -> float:
    weight = np.asarray(parameters["fc.weight"], np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        scores = features @ weight.T + parameters["fc.bias"]
        scores -= scores.max(axis=1, keepdims=True)
        own = scores[np.arange(len(labels)), labels]
        return float((np.log(np.exp(scores).sum(axis=1)) - own).mean())


def _network(
    architecture: str, dataset: Dataset, samples: Ints, labels: Ints
) -> Callable[[Parameters], float]:
    import torch

    module: Any = model(architecture)
    with torch.device("meta"):
        network = module.build(dataset)
    x = torch.from_numpy(dataset.features(samples))
    y = torch.from_numpy(labels)

    def mean(parameters: Mapping[str, NDArray[Any]]) -> float:
        given = {name: torch.tensor(value).float() for name, value in parameters.items()}
        total = 0.0
        with torch.inference_mode():
            for start in range(0, len(y), _BATCH):
                part = slice(start, start + _BATCH)
                scores = torch.func.functional_call(network, given, (x[part],)).double()
                each = torch.nn.functional.cross_entropy(scores, y[part], reduction="sum")
                total += float(each)
        return total / len(y)

    return mean
