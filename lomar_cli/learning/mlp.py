"""A perceptron with one hidden layer of 128 rectified units: two fully connected layers."""

from __future__ import annotations

from typing import Any

from lomar_cli.data.dataset import Dataset
from lomar_cli.files.updates import OutputLayer
from lomar_cli.learning.network import Network

HIDDEN = 128
OUTPUT = OutputLayer("fc2.weight", "fc2.bias", 0)


def build(dataset: Dataset) -> Any:
    from collections import OrderedDict

    from torch import nn

    return nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(dataset.x_train.shape[1], HIDDEN),
            relu=nn.ReLU(),
            fc2=nn.Linear(HIDDEN, len(dataset.labels)),
        )
    )


NETWORK = Network(build, OUTPUT)
initial, train, predict = NETWORK.initial, NETWORK.train, NETWORK.predict
group = NETWORK.group
