"""A small convolutional network for pictures: two convolutions with pooling, one full layer."""

from __future__ import annotations

from typing import Any

from lomar_cli.data.dataset import Dataset
from lomar_cli.errors import UsageError
from lomar_cli.files.updates import OutputLayer
from lomar_cli.learning.network import Network

CHANNELS = (16, 32)
SMALLEST = 4
OUTPUT = OutputLayer("fc.weight", "fc.bias", 0)


def picture(dataset: Dataset, model: str, smallest: int) -> tuple[int, int, int]:
    """Channels, height and width of the data set's samples; UsageError if they are no pictures."""
    if len(dataset.shape) != 3:
        raise UsageError(
            f"--model {model}: takes pictures, and the samples of {dataset.name} are none; "
            "logistic and mlp take anything"
        )
    channels, height, width = dataset.shape
    if min(height, width) < smallest:
        raise UsageError(
            f"--model {model}: takes pictures of at least {smallest} x {smallest} pixels, those "
            f"of {dataset.name} have {height} x {width}"
        )
    return channels, height, width


def build(dataset: Dataset) -> Any:
    from collections import OrderedDict

    from torch import nn

    channels, height, width = picture(dataset, "cnn", SMALLEST)
    few, many = CHANNELS
    return nn.Sequential(
        OrderedDict(
            picture=nn.Unflatten(1, dataset.shape),
            conv1=nn.Conv2d(channels, few, 3, padding=1),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(few, many, 3, padding=1),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flat=nn.Flatten(),
            fc=nn.Linear(many * (height // 4) * (width // 4), len(dataset.labels)),
        )
    )


NETWORK = Network(build, OUTPUT, widest=3 * 96 * 96)
initial, train, predict = NETWORK.initial, NETWORK.train, NETWORK.predict
group = NETWORK.group
