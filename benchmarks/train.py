"""Batched training against the obvious loop over clients, in one run.

    LOMAR_DATA_DIR=folder python benchmarks/train.py [CLIENTS]

100 clients of 600 MNIST samples (random pixels where MNIST is absent: the same arithmetic), five
epochs, batches of 20, one thread each, processor time. The loop trains one client at a time with
torch.nn.Linear, CrossEntropyLoss and SGD, indexing its tensors directly; with a DataLoader, which
most people would write, it is slower still and is shown too. "products" are the two matrix
products of every step alone, on arrays that are there already: nothing can train faster with them.
"""

from __future__ import annotations

import itertools
import os
import resource
import statistics
import sys
import time

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from lomar_cli.data import registry
from lomar_cli.data.dataset import Dataset
from lomar_cli.learning import logistic
from lomar_cli.learning.registry import ClientData, Training

TRAINING = Training(epochs=5, batch_size=20, lr=0.01)
TURNS = 3


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    data = dataset()
    rng = np.random.default_rng(0)
    clients = []
    for number in range(count):
        own = rng.choice(len(data.y_train), 600, replace=False)
        clients.append(ClientData(f"c{number}", own, data.y_train[own]))
    start = logistic.initial(data)
    torch.set_num_threads(1)
    batched, loop, loader, bare = [], [], [], []
    few = clients[:5]
    for turn in range(TURNS + 1):
        took = (
            timed(lambda: list(logistic.train(data, start, clients, TRAINING))) / count,
            timed(lambda: [one(data, start, client, False) for client in few]) / len(few),
            timed(lambda: [one(data, start, client, True) for client in few]) / len(few),
            timed(products) / logistic.GROUP,
        )
        if turn:
            for figures, seconds in zip((batched, loop, loader, bare), took, strict=True):
                figures.append(seconds)
    base = statistics.median(batched)
    print(f"{count} clients x 600 samples of {data.name}, five epochs, one thread; per client:")
    shown = {"products": bare, "batched": batched, "loop": loop, "DataLoader": loader}
    for name, figures in shown.items():
        middle = statistics.median(figures)
        print(f"{name:<12} {middle * 1e3:8.2f} ms   {middle / base:6.1f} x")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory  {peak:8.2f} GiB")


def dataset() -> Dataset:
    if os.environ.get("LOMAR_DATA_DIR"):
        return registry.load("mnist")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (6000, 784), dtype=np.uint8)
    y = rng.integers(0, 10, 6000)
    return Dataset("random", x, y, x[:10], y[:10], [str(i) for i in range(10)], 1 / 255)


def one(data: Dataset, start, client: ClientData, loader: bool) -> None:
    layer = torch.nn.Linear(784, 10)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(start["fc.weight"]))
        layer.bias.copy_(torch.from_numpy(start["fc.bias"]))
    optimizer = torch.optim.SGD(layer.parameters(), lr=TRAINING.lr)
    loss = torch.nn.CrossEntropyLoss()
    x = torch.from_numpy(data.features(client.samples))
    y = torch.from_numpy(client.labels)
    if loader:
        pairs = torch.utils.data.TensorDataset(x, y)
        epochs = [torch.utils.data.DataLoader(pairs, batch_size=20, shuffle=True)] * TRAINING.epochs
        batches = itertools.chain.from_iterable(epochs)
    else:
        batches = ((x[chosen], y[chosen]) for chosen in logistic.batches(client, TRAINING))
    for part, labels in batches:
        optimizer.zero_grad()
        loss(layer(part), labels).backward()
        optimizer.step()


def products() -> None:
    """The products of every step of a group of clients: 600 samples, five epochs, batches of 20."""
    weight = np.ones((logistic.GROUP, 10, 784), np.float32)
    x = np.ones((logistic.GROUP, TRAINING.batch_size, 784), np.float32)
    gradient = np.empty_like(weight)
    with threadpool_limits(1, user_api="blas"):
        for _ in range(TRAINING.epochs * 600 // TRAINING.batch_size):
            slope = np.matmul(weight, x.transpose(0, 2, 1))
            np.matmul(slope, x, out=gradient)


def timed(function) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


if __name__ == "__main__":
    main()
