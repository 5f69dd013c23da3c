"""Softmax regression of a client with few samples and many features, by products of samples.

Plain SGD only ever adds multiples of samples to the weights: W = W0 + A^T X for one row of ``A``
(samples, labels) a sample. The scores of a batch are then those of W0 plus products of samples with
each other, and a step costs what the samples are, not the features. The weights come at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.learning.registry import ClientData, Training
from lomar_cli.learning.schedule import batches

Floats = NDArray[np.float32]


def pays(client: ClientData, training: Training, features: int, labels: int) -> bool:
    """True when ``train`` needs fewer multiplications than a step by the weights at a time does."""
    if training.momentum or training.weight_decay:
        return False
    own, size = len(client.samples), min(training.batch_size, len(client.samples))
    steps = training.local_steps or training.epochs * -(-own // size)
    ends = own * features * (own + 2 * labels)
    return ends + steps * size * own * labels < steps * 2 * size * features * labels


def train(
    features: NDArray[Any],
    scale: float,
    weight: Floats,
    bias: Floats,
    client: ClientData,
    training: Training,
) -> tuple[Floats, Floats]:
    """Trained minus start: weight (labels, features) and bias (labels,). SGD's, to rounding."""
    x = features[client.samples].astype(np.float32)
    x *= np.float32(scale)
    base = x @ weight.T + bias
    # The bias is the weight of a feature that is 1 in each sample.
    products = x @ x.T + np.float32(1)
    moved = np.zeros_like(base)
    for batch in batches(client, training):
        slope = products[batch] @ moved
        slope += base[batch]
        slope -= slope.max(axis=1, keepdims=True)
        np.exp(slope, out=slope)
        slope /= slope.sum(axis=1, keepdims=True)
        slope[np.arange(len(batch)), client.labels[batch]] -= 1
        slope *= np.float32(training.lr / len(batch))
        moved[batch] -= slope
    return moved.T @ x, moved.sum(axis=0)
