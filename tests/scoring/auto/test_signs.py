"""The view on signs: shares of zeros and of positives, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.scoring.auto import signs
from lomar_cli.scoring.auto.base import Seen
from lomar_cli.scoring.geometry import Geometry
from tests.scoring.auto import slow
from tests.scoring.plain import from_matrix

COUNT, SIZE = 60, 500


def a_round(seed, kind):
    """A third of the parameters is never trained; the last ten clients make theirs up."""
    rng = np.random.default_rng(seed)
    flat = rng.standard_normal((COUNT, SIZE)) + 1.0
    flat[:, : SIZE // 3] = 0.0
    if kind == "no zeros":
        flat[50:, : SIZE // 3] = 1e-3
    elif kind == "turned":
        flat[50:] = -flat[50:]
    return flat


def off(shares):
    middle = np.median(shares)
    return [abs(one - middle) for one in shares]


@pytest.mark.parametrize("kind", ["none", "no zeros", "turned"])
def test_it_is_the_counts_by_hand(kind):
    flat = a_round(3, kind)
    zeros = [sum(v == 0 for v in one) / SIZE for one in flat.tolist()]
    positive = [sum(v > 0 for v in one) / sum(v != 0 for v in one) for one in flat.tolist()]
    expected, flagged = np.zeros(COUNT), set()
    for shares, least in ((zeros, signs._LEAST_ZEROS), (positive, signs._LEAST_POSITIVES)):
        values = off(shares)
        if max(values) < least:
            continue
        said, beyond = slow.suspicions(values, *signs._CONSTANTS, noise=least / 6)
        assert all(values[i] >= least for i in beyond)
        flagged |= beyond
        expected = np.maximum(expected, said if beyond else 0.5 * said)
    if not flagged:
        expected = slow.ranked(expected.tolist())
    sight = signs.signs(Seen(Geometry(from_matrix(flat)), np.ones(COUNT, bool), 0.01))
    np.testing.assert_allclose(sight.suspicion, expected, rtol=1e-9, atol=1e-12)
    assert set(sight.words) == flagged == set(np.flatnonzero(sight.suspicion > 1))
    assert sight.found == bool(flagged)


def test_more_zeros_than_others_have_is_no_sign():
    """As where a few clients' samples are cleaner: more features that they never saw."""
    rng = np.random.default_rng(0)
    flat = rng.standard_normal((COUNT, SIZE)) + 1.0
    flat[50:, : SIZE // 3] = 0.0
    sight = signs.signs(Seen(Geometry(from_matrix(flat)), np.ones(COUNT, bool), 0.01))
    assert not sight.words
    assert (sight.suspicion <= 1).all()
    flat[:, : SIZE // 3] = 0.0
    flat[50:, : SIZE // 3] = 1e-3
    sight = signs.signs(Seen(Geometry(from_matrix(flat)), np.ones(COUNT, bool), 0.01))
    assert set(sight.words) == set(range(50, 60))


@pytest.mark.parametrize(
    "asleep", [[10] * 62 + [16] * 14 + [20] * 14 + [30] * 10, [10] * 88 + [30] * 12]
)
def test_units_that_some_clients_wake_are_no_sign(asleep):
    # Of 5,000 parameters a unit of ten is asleep at most clients, and one or two more at others.
    flat = np.random.default_rng(1).uniform(0.5, 1.5, (100, 5000))
    for row, zeros in zip(flat, asleep, strict=True):
        row[:zeros] = 0.0
    assert not signs.signs(Seen(Geometry(from_matrix(flat)), np.ones(100, bool), 0.01)).found


def test_beside_who_turns_all_signs_a_few_turned_ones_are_none():
    flat = np.random.default_rng(1).uniform(0.5, 1.5, (100, 5000))
    for row, turned in zip(flat, [0] * 62 + [6] * 12 + [9] * 16 + [5000] * 10, strict=True):
        row[:turned] *= -1
    sight = signs.signs(Seen(Geometry(from_matrix(flat)), np.ones(100, bool), 0.01))
    assert set(np.flatnonzero(sight.suspicion > 1)) == set(range(90, 100))


def test_who_makes_it_up_is_found_where_there_is_a_spread():
    for seed in range(5):
        sight = signs.signs(
            Seen(Geometry(from_matrix(a_round(seed, "turned"))), np.ones(COUNT, bool), 0.01)
        )
        assert set(np.flatnonzero(sight.suspicion > 1)) == set(range(50, 60))
        assert "are positive" in sight.words[55]


def test_signs_that_all_share_tell_nothing():
    alike = Geometry(from_matrix(np.eye(1, 9) + np.ones((20, 9))))
    sight = signs.signs(Seen(alike, np.ones(20, bool), 0.01))
    assert np.isnan(sight.suspicion).all() and "alike" in sight.notes[0]
