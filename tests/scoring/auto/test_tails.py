"""Evidence of a few clients far out, against slow loops and by hand."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from lomar_cli.scoring.auto.contrast import Contrasts
from lomar_cli.scoring.auto.evidence import WIDER, evidence
from lomar_cli.scoring.auto.tails import FEWEST, WIDEST, tail_evidence
from tests.scoring.auto import slow_labels


def honest(seed, count=60, labels=5, spread=1.0):
    """z as honest clients give them, and NaN on the diagonal."""
    z = spread * np.random.default_rng(seed).standard_normal((count, labels, labels))
    z[:, range(labels), range(labels)] = np.nan
    return z


def flat(z):
    """Nobody holds anything of any label."""
    return Contrasts(z, np.where(np.isnan(z), np.nan, 0.0))


def everybody(z):
    return np.ones(len(z), dtype=bool)


@pytest.mark.parametrize("spread", [0.6, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_slow_loops(seed, spread):
    z = honest(seed, spread=spread)
    z[:4, 1, 3] += 9 * spread
    z[:, 4, :] = z[:, :, 4] = np.nan
    below = np.where(np.isnan(z), np.nan, np.random.default_rng(seed).exponential(1.0, z.shape))
    below[:, :, 2] = 0
    rows = np.arange(60) % 5 < 4
    found = tail_evidence(Contrasts(z, below), rows)
    expected = slow_labels.tail_chances(z, below, rows)
    # The width is found by halving.
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert found.argmin() == 1 * 5 + 3 and found[1, 3] < -3


def test_by_hand():
    """Twenty clients, two pairs, and z of 8 and 6 in one of them: chances that are known."""
    z = np.full((20, 2, 2), np.nan)
    z[:, 0, 1], z[:, 1, 0] = -1.0, -1.0
    z[0, 0, 1], z[1, 0, 1] = 8.0, 6.0
    found = tail_evidence(flat(z), everybody(z))
    first, second = norm.sf(8 / WIDER), norm.sf(6 / WIDER)
    sums = -math.log(first) - math.log(second)
    binomial = [1 - (1 - first) ** 20, 190 * second**2]
    product = [20 * first, 190 * math.exp(-sums) * (1 + sums)]
    assert found[0, 1] == pytest.approx(math.log10(2 * min(binomial + product)), abs=1e-3)
    assert found[1, 0] == 0


def test_two_far_out_are_evidence_where_nobody_elses_z_are_as_high():
    z = honest(0, count=100, labels=10)
    z[:2, 7, 1] = 9.0
    found = tail_evidence(flat(z), everybody(z))
    assert found[7, 1] < -12 < np.delete(found.ravel(), 71).min() - 8
    # By the other pairs' z alone nothing below one in all of these can be told.
    assert evidence(flat(z), everybody(z))[7, 1] > -2


def test_no_single_client_is_evidence_without_end():
    z = honest(0, count=100, labels=10)
    z[0, 7, 1] = 1e6
    assert tail_evidence(flat(z), everybody(z))[7, 1] == pytest.approx(math.log10(200e-12), abs=0.1)


def test_the_tail_is_as_wide_as_other_pairs_show():
    """The same two among others whose z come to as much."""
    quiet, loud = (honest(0, count=100, labels=10, spread=spread) for spread in (1.0, 4.0))
    for z in (quiet, loud):
        z[:2, 7, 1] = 9.0
    assert tail_evidence(flat(quiet), everybody(quiet))[7, 1] < -12
    assert tail_evidence(flat(loud), everybody(loud))[7, 1] > -3
    # Whatever they come to.
    wild = honest(0, count=100, labels=10, spread=1e6)
    assert np.isfinite(tail_evidence(flat(wild), everybody(wild))).all()
    assert WIDEST > WIDER


def test_honest_rounds_have_none():
    for seed in range(20):
        z = honest(seed, count=100, labels=10, spread=1.3)
        assert tail_evidence(flat(z), everybody(z)).min() > -6


def test_too_few_pairs_to_tell_a_width_by():
    z = honest(0, count=2, labels=2)
    assert FEWEST > 2
    assert np.isfinite(tail_evidence(flat(z), everybody(z))).all()
    nothing = np.full((10, 3, 3), np.nan)
    assert (tail_evidence(flat(nothing), everybody(nothing)) == 0).all()
