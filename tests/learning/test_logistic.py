"""Batched training against the obvious loop with torch.nn.Linear and torch.optim.SGD."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from lomar_cli.data import registry
from lomar_cli.learning.registry import ClientData, Training

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

from lomar_cli.learning import logistic, logistic_device, logistic_dual  # noqa: E402


@pytest.fixture(scope="module")
def digits():
    return registry.load("digits")


def clients_of(dataset, sizes, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for number, size in enumerate(sizes):
        samples = rng.choice(len(dataset.y_train), size, replace=False).astype(np.int64)
        labels = dataset.y_train[samples].copy()
        labels[labels == 1] = 7 if number % 3 == 0 else 1
        made.append(ClientData(f"c{number}", samples, labels))
    return made


def one_by_one(dataset, start, client, training):
    """What anybody would write for a single client."""
    layer = torch.nn.Linear(dataset.x_train.shape[1], len(dataset.labels))
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(start["fc.weight"]))
        layer.bias.copy_(torch.from_numpy(start["fc.bias"]))
    optimizer = torch.optim.SGD(
        layer.parameters(),
        lr=training.lr,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
    )
    loss = torch.nn.CrossEntropyLoss()
    x = torch.from_numpy(dataset.features(client.samples))
    y = torch.from_numpy(client.labels)
    for batch in logistic.batches(client, training):
        optimizer.zero_grad()
        loss(layer(x[batch]), y[batch]).backward()
        optimizer.step()
    weight = layer.weight.detach().numpy() - start["fc.weight"]
    return weight, layer.bias.detach().numpy() - start["fc.bias"]


def check_against_the_loop(dataset, clients, training):
    """From a start that is not zero."""
    rng = np.random.default_rng(1)
    start = {
        "fc.weight": (0.1 * rng.standard_normal((10, dataset.x_train.shape[1]))).astype(np.float32),
        "fc.bias": (0.1 * rng.standard_normal(10)).astype(np.float32),
    }
    found = train_all(dataset, start, clients, training)
    for place, client in enumerate(clients):
        weight, bias = one_by_one(dataset, start, client, training)
        np.testing.assert_allclose(found["fc.weight"][place], weight, atol=1e-5)
        np.testing.assert_allclose(found["fc.bias"][place], bias, atol=1e-5)


def train_all(dataset, start, clients, training):
    parts = [updates for _, updates in logistic.train(dataset, start, clients, training)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.mark.parametrize(
    "training",
    [
        Training(epochs=3, batch_size=20, lr=0.1),
        Training(epochs=2, batch_size=7, lr=0.5, seed=4),
        Training(local_steps=5, batch_size=16, lr=0.1),
        Training(local_steps=40, batch_size=20, lr=0.1),
        Training(epochs=1, batch_size=1000, lr=1.0),
        Training(epochs=2, batch_size=8, lr=0.05, momentum=0.9),
        Training(epochs=2, batch_size=8, lr=0.1, weight_decay=0.1),
        Training(local_steps=30, batch_size=20, lr=0.05, momentum=0.5, weight_decay=0.01),
    ],
)
def test_equals_the_loop(digits, training):
    """Sizes differ, so do last batches: 1 sample, fewer than a batch, not a multiple of one."""
    clients = clients_of(digits, [100, 37, 1, 20, 64, 100, 3])
    check_against_the_loop(digits, clients, training)


def test_few_samples_of_many_features(digits):
    """Clients that are trained by the products of their samples, beside one that is not."""
    wide = dataclasses.replace(digits, x_train=np.tile(digits.x_train, (1, 20)))
    clients = clients_of(wide, [40, 23, 900, 5, 1])
    training = Training(epochs=4, batch_size=10, lr=0.02)
    width = wide.x_train.shape[1]
    ways = [logistic_dual.pays(client, training, width, 10) for client in clients]
    assert ways == [True, True, False, True, True]
    check_against_the_loop(wide, clients, training)


def test_other_devices_take_the_same_steps(digits):
    """The torch form, which other devices get, on the one device that every machine has."""
    clients = clients_of(digits, [100, 37, 1, 20, 64])
    training = Training(epochs=2, batch_size=8, lr=0.05, momentum=0.9, weight_decay=0.01)
    start = {name: value + np.float32(0.1) for name, value in logistic.initial(digits).items()}
    here = train_all(digits, start, clients, training)
    for first, there in logistic_device.train(digits, start, clients, training, 2):
        for name, found in there.items():
            np.testing.assert_allclose(here[name][first : first + 2], found, atol=1e-5)


def test_bytes_and_floats_train_alike(digits):
    """A data set stored as bytes with a scale against the same numbers stored as floats."""
    clients = clients_of(digits, [30, 30, 7])
    features = digits.scaled(digits.x_train)
    floats = dataclasses.replace(digits, x_train=features, scale=1.0)
    start = logistic.initial(digits)
    bytes_, other = (
        train_all(one, start, clients, Training(epochs=2, lr=0.1)) for one in (digits, floats)
    )
    np.testing.assert_allclose(bytes_["fc.weight"], other["fc.weight"], atol=1e-6)


def test_training_loads_no_torch(digits):
    code = (
        "import sys; from lomar_cli.learning import logistic; "
        "from lomar_cli.learning.registry import *; from lomar_cli.data import registry; "
        "import numpy as np; own = np.arange(20); data = registry.load('digits'); "
        "one = ClientData('c', own, data.y_train[own]); "
        "list(logistic.train(data, logistic.initial(data), [one], Training())); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_epochs_visit_every_sample_once_each():
    client = ClientData("c", np.arange(47), np.zeros(47, np.int64))
    plan = logistic.batches(client, Training(epochs=3, batch_size=10))
    assert [len(batch) for batch in plan] == [10, 10, 10, 10, 7] * 3
    for epoch in range(3):
        seen = np.concatenate(plan[epoch * 5 : epoch * 5 + 5])
        assert sorted(seen) == list(range(47))


def test_a_client_trains_alike_whoever_else_is_there(digits):
    clients = clients_of(digits, [50] * 5)
    training = Training(epochs=2)
    start = logistic.initial(digits)
    together = train_all(digits, start, clients, training)
    alone = train_all(digits, start, clients[3:4], training)
    np.testing.assert_allclose(together["fc.weight"][3], alone["fc.weight"][0], atol=1e-6)


def test_threads_give_the_same_bytes(digits):
    clients = clients_of(digits, [30] * 120)
    start = logistic.initial(digits)
    one = train_all(digits, start, clients, Training(epochs=1, jobs=1))
    two = train_all(digits, start, clients, Training(epochs=1, jobs=2))
    for name in one:
        assert one[name].tobytes() == two[name].tobytes()


def test_seed_and_client_decide_the_order():
    client = ClientData("a", np.arange(20), np.zeros(20, np.int64))
    other = ClientData("b", np.arange(20), np.zeros(20, np.int64))
    first = logistic.batches(client, Training(epochs=1))[0].tolist()
    assert first == logistic.batches(client, Training(epochs=1))[0].tolist()
    assert first != logistic.batches(other, Training(epochs=1))[0].tolist()
    assert first != logistic.batches(client, Training(epochs=1, seed=1))[0].tolist()
