"""The mean loss of every model, against torch and against its own predictions."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.data.dataset import Dataset
from lomar_cli.learning.loss import loss_on
from lomar_cli.learning.registry import model

torch = pytest.importorskip("torch")


def pictures(count=300, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 17, (count, 64)).astype(np.uint8)
    y = rng.integers(0, 4, count)
    return Dataset("made", x, y, x[:2], y[:2], list("abcd"), scale=1 / 16, shape=(1, 8, 8))


@pytest.mark.parametrize("name", ["logistic", "mlp", "cnn"])
def test_the_loss_is_torchs(name):
    data = pictures()
    module = model(name)
    rng = np.random.default_rng(1)
    parameters = {
        key: (value + 0.2 * rng.standard_normal(value.shape)).astype(np.float32)
        for key, value in module.initial(data, 3).items()
    }
    samples = rng.permutation(300)[:270]
    x = torch.from_numpy(data.features(samples))
    given = {key: torch.from_numpy(value) for key, value in parameters.items()}
    if name == "logistic":
        network = torch.nn.Linear(64, 4)
        given = {key.removeprefix("fc."): value for key, value in given.items()}
    else:
        network = module.build(data)
    scores = torch.func.functional_call(network, given, (x,))
    labels = data.y_train[samples]
    expected = torch.nn.functional.cross_entropy(scores, torch.from_numpy(labels))
    found = loss_on(name, data, samples, labels)(parameters)
    assert found == pytest.approx(float(expected), rel=1e-5)


def test_an_overflow_is_not_finite():
    data = pictures()
    found = loss_on("logistic", data, np.arange(5), data.y_train[:5])
    start = {"fc.weight": np.zeros((4, 64)), "fc.bias": np.zeros(4)}
    assert found(start) == pytest.approx(np.log(4))
    assert not np.isfinite(found({**start, "fc.weight": np.full((4, 64), np.inf)}))
