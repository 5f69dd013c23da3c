"""Honest rounds: the share of clients removed is at most what was asked for.

A fast part of ``benchmarks/calibration.py``: its figures are in docs/method.md.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.scoring.auto.rounds import auto, digits

SEEDS = {20: 8, 40: 6, 100: 4}


def removed(scheme, count, asked, samples=50):
    shares = [
        (~auto(digits(scheme, seed, count, samples)[0], false_alarm=asked).keep).mean()
        for seed in range(11, 11 + SEEDS[count])
    ]
    return float(np.mean(shares))


@pytest.mark.parametrize("count", list(SEEDS))
@pytest.mark.parametrize("scheme", ["0", "0.5", "0.9", "dirichlet1"])
def test_at_most_the_share_that_was_asked_for_is_removed(scheme, count):
    for asked in (0.01, 0.05, 0.1):
        # Within what chance gives to so few rounds.
        clients = SEEDS[count] * count
        assert removed(scheme, count, asked) <= asked + 2 * np.sqrt(asked / clients)


def test_clients_who_all_hold_the_same_few_samples():
    """Most of one label's samples in every client of that label: nearly copies of each other."""
    for count in (20, 40):
        assert removed("0.9", count, 0.01, samples=100) <= 0.02
