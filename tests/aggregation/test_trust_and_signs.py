"""The rules fltrust, robustlr and clip-and-noise against their formulas, client by client."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lomar_cli.aggregation.clip_and_noise import ClipAndNoise
from lomar_cli.aggregation.fltrust import FlTrust
from lomar_cli.aggregation.robustlr import RobustLr
from lomar_cli.errors import UsageError
from lomar_cli.scoring.quantity import Neighbors
from tests.scoring.plain import from_matrix, matrix, view_of
from tests.scoring.rounds import random_round

EVEN = np.full(9, 2.0)


def flat(aggregate):
    return np.concatenate([values.reshape(-1) for values in aggregate.update.values()])


def test_fltrust_by_loops():
    updates = random_round(0, 9, 3, 4, rest=2, offset=0.2)
    root = random_round(1, 2, 3, 4, rest=2, offset=0.2)
    found = FlTrust()(view_of(updates, root=root), EVEN)
    trusted = matrix(root).mean(axis=0)
    length = math.hypot(*trusted)
    total, trust = np.zeros(len(trusted)), 0.0
    for values in matrix(updates):
        score = max(0.0, values @ trusted / length / math.hypot(*values))
        total += score * length / math.hypot(*values) * values
        trust += score
    np.testing.assert_allclose(flat(found), total / trust)
    assert found.used.tolist() == (matrix(updates) @ trusted > 0).tolist()


def test_fltrust_never_averages_instead():
    updates = from_matrix([[-1.0, 0], [-2, 0], [0, 3], [0, 0]])
    found = FlTrust()(view_of(updates, root=from_matrix([[1.0, 0]])), np.ones(4))
    assert flat(found).tolist() == [0, 0]
    assert not found.used.any()
    assert "no client points with the trusted update" in found.notes[0]


def test_fltrust_needs_a_root():
    with pytest.raises(UsageError, match=r"--rule fltrust: needs .*--root ROUND"):
        FlTrust()(view_of(from_matrix(np.eye(3))), np.ones(3))


def test_fltrust_leaves_out_who_has_no_weight():
    updates = from_matrix([[1.0, 0], [0, 1.0]])
    root = from_matrix([[1.0, 1.0]])
    found = FlTrust()(view_of(updates, root=root), np.array([1.0, 0]))
    np.testing.assert_allclose(flat(found), [math.sqrt(2), 0])


def test_robustlr_by_hand():
    updates = from_matrix([[1, 1, -1], [2, 1, 3], [3, -1, 0], [4, 5, -2.0], [5, -9, 0]])
    # Sums of signs: 5, 1 and -1; means 3, -0.6 and 0.
    found = RobustLr(theta="2")(view_of(updates), np.ones(5))
    np.testing.assert_allclose(flat(found), [3, 0.6, 0], atol=1e-15)
    assert "2 of 3 parameters move against" in found.notes[0]
    # A share of the clients, and weights, which the signs do not have.
    found = RobustLr(theta="0.2n")(view_of(updates), np.array([1.0, 0, 0, 0, 3]))
    np.testing.assert_allclose(flat(found), [4, -6.5, -0.25])


def test_robustlr_by_loops():
    updates = random_round(0, 9, 3, 4, rest=2)
    found = RobustLr()(view_of(updates), EVEN)
    expected = []
    for column in matrix(updates).T.tolist():
        agree = abs(sum((x > 0) - (x < 0) for x in column))
        expected.append(sum(column) / 9 * (1 if agree >= 0.4 * 9 else -1))
    np.testing.assert_allclose(flat(found), expected)


def test_clipping_by_loops():
    updates = random_round(0, 9, 3, 4, rest=2, spread=2.0)
    found = ClipAndNoise(noise="0")(view_of(updates), np.arange(9.0))
    rows = matrix(updates)
    bound = np.median([math.hypot(*row) for row in rows])
    expected = sum(
        weight * row * min(1, bound / math.hypot(*row))
        for weight, row in zip(np.arange(9.0), rows, strict=True)
    )
    np.testing.assert_allclose(flat(found), expected / 36)
    assert "4 of 9 updates clipped" in found.notes[0]


def test_noise_is_the_seeds_and_has_its_size():
    updates = from_matrix(np.ones((3, 20_000)))
    made = ClipAndNoise(clip="1", noise="0.5x")
    one, same, other = (flat(made(view_of(updates, seed=s), np.ones(3))) for s in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    noise = one - 1 / math.sqrt(20_000)
    assert noise.std() == pytest.approx(0.5, rel=0.03)
    assert abs(noise.mean()) < 0.02


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        (RobustLr, {"theta": "2n"}),
        (RobustLr, {"theta": "few"}),
        (ClipAndNoise, {"clip": "-1"}),
        (ClipAndNoise, {"noise": "loud"}),
    ],
)
def test_options_out_of_range(kind, option):
    with pytest.raises(UsageError, match="=".join(*option.items())):
        kind(**option)


def test_fltrust_says_that_weights_do_not_count():
    updates = random_round(0, 9, 3, 4, offset=0.2)
    view = view_of(updates, root=random_round(1, 2, 3, 4, offset=0.2))
    even, odd = FlTrust()(view, EVEN), FlTrust()(view, np.arange(1.0, 10))
    for name, value in even.update.items():
        np.testing.assert_array_equal(value, odd.update[name])
    assert not any("weights are not used" in note for note in even.notes)
    assert any("weights are not used" in note for note in odd.notes)


@pytest.mark.parametrize("share", range(1, 100))
def test_a_share_is_that_of_whole_clients(share):
    """0.28 n of 100 clients are 28, though 0.28 * 100 is 28.000000000000004 in binary."""
    assert share - 1e-6 < RobustLr(theta=f"{share / 100}n")._theta(100) <= share
    assert Neighbors.parse(f"{share / 100}n").count(100) == share
