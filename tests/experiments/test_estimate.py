"""What --dry-run says of time and disk."""

from __future__ import annotations

import tomllib

import pytest

from lomar_cli.experiments import estimate as module
from lomar_cli.experiments.estimate import estimate
from lomar_cli.experiments.plan import make_plan

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


@pytest.fixture
def cells():
    return make_plan(tomllib.loads(TEXT), "test", False, "test.toml").cells


def test_an_estimate_adds_up_clients_steps_and_products(cells, monkeypatch):
    # A pace set by hand: what a trial measures differs from one machine, and one minute, to the
    # next, and no test may hang on that.
    pace = module._Pace(client=0.5, step=0.01, parameters=650, examples=40, product=1e-6)
    monkeypatch.setattr(module, "_probe", lambda cell, data_dir: pace)
    said = estimate(cells, None, "none", 1).seconds

    def by_hand(everybody: int, steps: int) -> float:
        products = module._PRODUCTS * 1e-6 * everybody**2 * 650
        return 4 * (everybody * (0.5 + steps * 0.01) + products + module._OVERHEAD)

    assert said == pytest.approx({"short": by_hand(10, 1), "long": by_hand(15, 4000)})


def test_a_trial_measures_time_and_the_size_of_the_model(cells):
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    few = estimate(cells, None, "none", 1)
    assert few.seconds["long"] > 0 and few.seconds["short"] > 0
    # (10 clients of 650 float32 numbers, 15 under attack), two rounds at a time or all four.
    assert few.bytes == 15 * 650 * 4 * 2
    assert estimate(cells, None, "none", 2).bytes == 25 * 650 * 4 * 2
    assert estimate(cells, None, "all", 1).bytes == 25 * 650 * 4 * 4
    assert estimate([], None, "none", 1).bytes == 0
