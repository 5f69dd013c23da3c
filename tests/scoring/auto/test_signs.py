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
    return [max(abs(one - middle), signs._LEAST / 2) for one in shares]


@pytest.mark.parametrize("kind", ["none", "no zeros", "turned"])
def test_it_is_the_counts_by_hand(kind):
    flat = a_round(3, kind)
    zeros = [sum(v == 0 for v in one) / SIZE for one in flat.tolist()]
    positive = [sum(v > 0 for v in one) / sum(v != 0 for v in one) for one in flat.tolist()]
    expected, flagged = np.zeros(COUNT), set()
    for shares in (zeros, positive):
        values = off(shares)
        if max(abs(one - np.median(shares)) for one in shares) < signs._LEAST:
            continue
        said, beyond = slow.suspicions(values, *signs._CONSTANTS)
        flagged |= beyond
        expected = np.maximum(expected, said if beyond else 0.5 * said)
    if not flagged:
        expected = slow.ranked(expected.tolist())
    sight = signs.signs(Seen(Geometry(from_matrix(flat)), np.ones(COUNT, bool), 0.01))
    np.testing.assert_allclose(sight.suspicion, expected, rtol=1e-9, atol=1e-12)
    assert set(sight.words) == flagged == set(np.flatnonzero(sight.suspicion > 1))
    assert sight.found == bool(flagged)


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
