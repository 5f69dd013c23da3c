"""Softmax regression, trained for many clients together in NumPy; needs no torch on a CPU.

Two small matrix products a client and step are most of the work, and BLAS does these as fast from
NumPy as it does large ones. Clients with few samples for their features go by ``logistic_dual``. On
other devices ``logistic_device`` does the same with torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.data.dataset import Dataset
from lomar_cli.files.updates import OutputLayer
from lomar_cli.learning import logistic_dual
from lomar_cli.learning.registry import ClientData, Training
from lomar_cli.learning.schedule import Arrays, batches, client_rng, in_groups, schedule
from lomar_cli.threads import one_blas_thread

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
__all__ = ["OUTPUT", "batches", "client_rng", "group", "initial", "predict", "train"]
OUTPUT = OutputLayer("fc.weight", "fc.bias", 0)

# Clients trained together. Fixed, so that the same client sits in the same computation whatever
# --jobs is; measured on MNIST: 16 to 24 are fastest, as one step's samples stay within the cache.
GROUP = 16


def initial(dataset: Dataset, seed: int = 0) -> Arrays:
    """All zeros (the paper's w0 = 0, sec. 4.1.2): weight (R, features) and bias (R,).

    The seed has no part in it.
    """
    labels, features = len(dataset.labels), dataset.x_train.shape[1]
    return {
        "fc.weight": np.zeros((labels, features), np.float32),
        "fc.bias": np.zeros(labels, np.float32),
    }


def group(start: Mapping[str, NDArray[Any]]) -> int:
    """How many clients are trained together: groups begin at multiples of it."""
    return GROUP


def train(
    dataset: Dataset,
    start: Mapping[str, NDArray[Any]],
    clients: Sequence[ClientData],
    training: Training,
    advance: Callable[[int], None] = lambda count: None,
) -> Iterator[tuple[int, Arrays]]:
    """Yield ``(first client, updates)`` for each group of clients, in order.

    Every client runs mini-batch SGD on cross-entropy from ``start``, as ``torch.nn.Linear`` with
    ``torch.optim.SGD`` would (to rounding), on batches in an order of its own that depends only
    on the seed and the client's id. Updates are trained minus start, float32.
    """
    if training.device != "cpu":
        from lomar_cli.learning import logistic_device

        yield from logistic_device.train(dataset, start, clients, training, GROUP, advance)
        return
    weight = start["fc.weight"].astype(np.float32)
    bias = start["fc.bias"].astype(np.float32)

    def work(group: Sequence[ClientData]) -> Arrays:
        # A diverging client is found by its result, which is not finite.
        with np.errstate(over="ignore", invalid="ignore"):
            done = _train_all(dataset, weight, bias, group, training)
        advance(len(group))
        return done

    with one_blas_thread():
        yield from in_groups(work, clients, GROUP, training.jobs)


def predict(
    parameters: Mapping[str, NDArray[Any]], features: NDArray[Any], dataset: Dataset | None = None
) -> Ints:
    """The most likely label of each sample, shape (samples,)."""
    scores = features @ parameters["fc.weight"].T + parameters["fc.bias"]
    best: Ints = np.argmax(scores, axis=1).astype(np.int64)
    return best


class _Room:
    """The arrays of one step for a number of clients that train: samples, slope and gradient.

    The slope (probability minus one-hot label, weighted) is (labels, clients, batch): sums over
    labels then add long rows, not ten numbers at a time.
    """

    def __init__(self, features: NDArray[Any], labels: int, clients: int, batch: int) -> None:
        width = features.shape[1]
        flat = np.empty((clients * batch, width), np.float32)
        self.features, self.flat = features, flat
        self.taken = flat if features.dtype == np.float32 else np.empty_like(flat, features.dtype)
        self.x = flat.reshape(clients, batch, width)
        self.slope = np.empty((labels, clients, batch), np.float32)
        self.by_client = self.slope.transpose(1, 0, 2)
        self.gradient = np.empty((clients, labels, width), np.float32)
        self.places = np.arange(clients * batch)

    def load(self, rows: Ints) -> None:
        """Take the samples ``rows`` (clients, batch), in the data set's own units."""
        # Rows are known to be valid, and only "clip" writes straight into the array.
        np.take(self.features, rows.reshape(-1), axis=0, out=self.taken, mode="clip")
        if self.taken is not self.flat:
            np.copyto(self.flat, self.taken)

    def slopes(self, weight: Floats, bias: Floats, target: Ints, share: Floats) -> None:
        """The slope of the loss by the scores; ``target`` and ``share`` are (clients, batch)."""
        slope = self.slope
        np.matmul(weight, self.x.transpose(0, 2, 1), out=self.by_client)
        slope += bias[:, :, None]
        slope -= slope.max(axis=0)
        np.exp(slope, out=slope)
        slope /= slope.sum(axis=0)
        slope.reshape(-1)[target.reshape(-1) * len(self.places) + self.places] -= 1
        slope *= share


def _train_all(
    dataset: Dataset, weight: Floats, bias: Floats, group: Sequence[ClientData], training: Training
) -> Arrays:
    features, scale = dataset.x_train, dataset.scale
    labels, width = weight.shape
    dual = np.array([logistic_dual.pays(client, training, width, labels) for client in group])
    together = [client for client, alone in zip(group, dual, strict=True) if not alone]
    if len(together) == len(group):
        return _train_group(features, scale, weight, bias, group, training)
    w = np.empty((len(group), *weight.shape), np.float32)
    b = np.empty((len(group), len(bias)), np.float32)
    for i in np.flatnonzero(dual).tolist():
        w[i], b[i] = logistic_dual.train(features, scale, weight, bias, group[i], training)
    if together:
        rest = _train_group(features, scale, weight, bias, together, training)
        w[~dual], b[~dual] = rest["fc.weight"], rest["fc.bias"]
    return {"fc.weight": w, "fc.bias": b}


def _train_group(
    features: NDArray[Any],
    scale: float,
    weight: Floats,
    bias: Floats,
    group: Sequence[ClientData],
    training: Training,
) -> Arrays:
    plan = schedule(group, training)
    # With w for weight * scale, scores are w times the samples as they are stored, and a step of
    # the weights by g is one of w by scale squared times g: no sample has to be scaled.
    square = np.float32(scale) ** 2
    start = weight * np.float32(scale)
    w = np.repeat(start[None], len(group), axis=0)
    b = np.repeat(bias[:, None], len(group), axis=1)
    speeds = (np.zeros_like(w), np.zeros_like(b))
    plain = not training.momentum and not training.weight_decay
    rate = np.float32(training.lr)
    room: _Room | None = None
    for step in range(plan.rows.shape[1]):
        active = int((plan.steps > step).sum())
        if room is None or active != len(room.x):
            room = _Room(features, len(bias), active, plan.rows.shape[2])
        room.load(plan.rows[:active, step])
        own, beside = w[:active], b[:, :active]
        room.slopes(own, beside, plan.target[:active, step], plan.share[:active, step])
        # The learning rate is put on the slope, the smallest array it can be put on.
        room.slope *= rate * square if plain else square
        np.matmul(room.by_client, room.x, out=room.gradient)
        gradients = (room.gradient, room.slope.sum(axis=2) / square)
        for value, speed, gradient in zip((own, beside), speeds, gradients, strict=True):
            if plain:
                value -= gradient
                continue
            moving = speed[:active] if speed.ndim == 3 else speed[:, :active]
            gradient += np.float32(training.weight_decay) * value
            moving *= np.float32(training.momentum)
            moving += gradient
            value -= rate * moving
    back = np.argsort(plan.order)
    w -= start
    w /= np.float32(scale)
    return {"fc.weight": w[back], "fc.bias": (b - bias[:, None]).T[back]}
