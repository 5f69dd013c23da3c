"""What --dry-run says of time and disk."""

from __future__ import annotations

import tomllib

import pytest

from lomar_cli.experiments.estimate import estimate
from lomar_cli.experiments.plan import make_plan

pytest.importorskip("torch", reason="training needs the extra 'train'")

TEXT = """
rounds = 4
[data]
name = "digits"
clients = 10
samples_per_client = 40
[[setting]]
name = "short"
training = { local_steps = 1 }
[[setting]]
name = "long"
training = { local_steps = 4000 }
attack = { name = "label-flip", flip = ["1:7"], malicious = "50%" }
[[defense]]
name = "LoMar"
method = "lomar"
"""


def test_an_estimate_grows_with_the_work():
    cells = make_plan(tomllib.loads(TEXT), "test", False, "test.toml").cells
    few = estimate(cells, None, "none", 1)
    assert few.seconds["long"] > few.seconds["short"] > 0
    # (10 clients of 650 float32 numbers, 15 under attack), two rounds at a time or all four.
    assert few.bytes == 15 * 650 * 4 * 2
    assert estimate(cells, None, "none", 2).bytes == 25 * 650 * 4 * 2
    assert estimate(cells, None, "all", 1).bytes == 25 * 650 * 4 * 4
    assert estimate([], None, "none", 1).bytes == 0
