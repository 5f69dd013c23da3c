"""SqueezeNet 1.1 of torchvision with a fresh head: the paper's model for VGGFace2 (Table 2).

Nothing is downloaded: all weights are fresh, and it takes many rounds until they are of use. The
paper's settings are --batch-size 8 --momentum 0.9 --weight-decay 0.0001 --lr 0.001. A model
trained elsewhere can be given to ``train --init``.

What differs from torchvision's: no dropout before the head (Table 2 names none, and it would make
a client's update depend on who else trains); pixels are first moved from 0..1 to -2..2, about as
ImageNet's mean and deviation do; grey pictures are fed to all three colours; and the head's biases
start at 3. The head's scores are rectified, and from torchvision's zeros all of them were 0 for
every picture within a few hundred steps, for good: no fresh network ever learned.

The head is a convolution: its weight is (labels, 512, 1, 1).
"""

from __future__ import annotations

from typing import Any

from lomar_cli.data.dataset import Dataset
from lomar_cli.errors import LomarError
from lomar_cli.files.updates import OutputLayer
from lomar_cli.learning.cnn import picture
from lomar_cli.learning.network import Network

SMALLEST = 17
OUTPUT = OutputLayer("classifier.1.weight", "classifier.1.bias", 0)


def build(dataset: Dataset) -> Any:
    channels, height, width = picture(dataset, "squeezenet", SMALLEST)
    if channels not in (1, 3):
        raise LomarError(f"--model squeezenet: takes 1 or 3 channels, not {channels}")
    try:
        from torchvision.models import SqueezeNet
    except ImportError:
        raise LomarError("squeezenet needs torchvision: pip install 'lomar-cli[train]'") from None

    class Picture(SqueezeNet):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            x = x.unflatten(-1, (channels, height, width)).expand(-1, 3, -1, -1)
            return super().forward((x - 0.5) * 4)

    return Picture("1_1", num_classes=len(dataset.labels), dropout=0.0)


NETWORK = Network(build, OUTPUT, widest=3 * 64 * 64, head_bias=3.0)
initial, train, predict = NETWORK.initial, NETWORK.train, NETWORK.predict
group = NETWORK.group
