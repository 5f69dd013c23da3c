"""The forward search: against a slow version, and what it promises about outliers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lomar_cli.scoring.auto.forward import ranked, split
from tests.scoring.auto import slow

ROUNDS = st.tuples(st.integers(10, 60), st.integers(0, 2**32 - 1), st.floats(0, 0.44))
FINITE = st.floats(-1e3, 1e3, allow_nan=False, width=32)


def drawn(count, seed, share, step=30.0):
    """Normal values, of which the last ``share`` lie ``step`` higher."""
    rng = np.random.default_rng(seed)
    bad = int(share * count)
    values = rng.standard_normal(count)
    values[count - bad :] += step
    return values, np.arange(count) >= count - bad


@settings(max_examples=60, deadline=None)
@given(ROUNDS, st.sampled_from([(4.5, 0.75), (5.0, 1.0), (2.0, 0.1)]), st.floats(0.0, 12.0))
def test_it_is_the_slow_search(drawing, constants, step):
    values, _ = drawn(*drawing, step=step)
    for false_alarm, noise in ((0.01, 0.0), (0.1, 0.0), (0.01, 1.5)):
        found = split(values, *constants, false_alarm, noise)
        expected, flagged = slow.suspicions(values.tolist(), *constants, false_alarm, noise)
        np.testing.assert_allclose(found.suspicion, expected, rtol=1e-9, atol=1e-12)
        assert set(np.flatnonzero(found.suspicion > 1)) == flagged
        assert found.found == bool(flagged)


def test_by_hand():
    # Twenty values, 0.0 to 1.9, and one at 9: centre and spread of the twenty are known.
    values = np.array([*(0.1 * np.arange(20)), 9.0])
    found = split(values, 4.5, 0.75, 0.01)
    centre, limit = 0.95, (1.9 + 9.0) / 2
    np.testing.assert_allclose(found.suspicion, np.maximum((values - centre) / (limit - centre), 0))
    assert np.flatnonzero(found.suspicion > 1).tolist() == [20]
    # The spread is 0.3413 * 1.9 = 0.648; 4.5 (1 + 10/21) of it reach to 5.26.
    assert split(np.array([*values[:20], 5.2]), 4.5, 0.75, 0.01).found is False
    assert split(np.array([*values[:20], 5.3]), 4.5, 0.75, 0.01).found is True


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.35, 0.44])
@pytest.mark.parametrize("step", [30.0, 1e3, 1e9])
def test_outliers_up_to_44_percent_do_not_hide_each_other(share, step):
    for seed in range(10):
        values, bad = drawn(100, seed, share, step)
        np.testing.assert_array_equal(split(values, 4.5, 1.0, 0.01).suspicion > 1, bad)


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.float64, st.integers(10, 60), elements=st.floats(0, 0.99)))
def test_ranks_where_nobody_is_found_are_the_slow_ones(suspicion):
    found = ranked(suspicion)
    np.testing.assert_allclose(found, slow.ranked(suspicion.tolist()), rtol=1e-9, atol=1e-12)
    assert (found >= suspicion).all() and (found < 1).all()


def test_a_group_that_hides_from_the_search_outranks_its_scale():
    """A fifth of a round, each a little further than the last: no gap, and a wide spread."""
    rng = np.random.default_rng(0)
    values = np.concatenate([0.05 * np.abs(rng.standard_normal(80)), np.linspace(0.1, 0.5, 20)])
    found = split(values, 6.0, 1.5, 0.01)
    assert not found.found and np.median(found.suspicion[80:]) < 0.4
    assert np.median(ranked(found.suspicion)[80:]) > 0.6
    assert ranked(found.suspicion)[:80].max() < 0.4


def test_median_and_mad_over_everybody_are_masked_where_it_is_not():
    """The witness that the case above is a hard one: 44 % of the round, ten spreads off."""
    values, bad = drawn(100, 0, 0.44, 10.0)
    mad = 1.4826 * np.median(np.abs(values - np.median(values)))
    assert ((values - np.median(values)) / mad > 4.5).sum() < bad.sum() / 10
    np.testing.assert_array_equal(split(values, 4.5, 1.0, 0.01).suspicion > 1, bad)


def test_a_far_outlier_does_not_hide_a_near_one():
    values, _ = drawn(100, 3, 0.0)
    values[98], values[99] = 12.0, 1e12
    assert np.flatnonzero(split(values, 4.5, 1.0, 0.01).suspicion > 1).tolist() == [98, 99]
    near_only = split(values[:99], 4.5, 1.0, 0.01).suspicion[98]
    assert near_only > 1


@settings(max_examples=80, deadline=None)
@given(arrays.arrays(np.float64, st.integers(10, 40), elements=FINITE))
def test_suspicion_never_falls_as_a_value_rises(values):
    found = split(values, 4.5, 1.0, 0.01).suspicion
    assert (np.diff(found[np.argsort(values, kind="stable")]) >= 0).all()
    assert (found >= 0).all() and np.isfinite(found).all()


@settings(max_examples=80, deadline=None)
@given(ROUNDS, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_scale_shift_and_order_do_not_matter(drawing, scale, shift):
    values, _ = drawn(*drawing)
    found = split(values, 4.5, 1.0, 0.01).suspicion
    moved = split(scale * values + shift, 4.5, 1.0, 0.01).suspicion
    np.testing.assert_allclose(moved, found, rtol=1e-6, atol=1e-6)
    order = np.random.default_rng(0).permutation(len(values))
    np.testing.assert_array_equal(split(values[order], 4.5, 1.0, 0.01).suspicion, found[order])


def test_a_larger_false_alarm_never_finds_fewer():
    for seed in range(20):
        values = np.random.default_rng(seed).standard_t(2, 60)
        counts = [(split(values, 4.5, 0.75, a).suspicion > 1).sum() for a in (0.001, 0.01, 0.1)]
        assert counts == sorted(counts)


def test_without_a_spread_nobody_is_found():
    for values in (np.zeros(20), np.full(20, 7.0), np.array([1.0] * 19 + [5.0])):
        found = split(values, 4.5, 1.0, 0.01)
        assert not found.found
        assert (found.suspicion <= 1).all()


@pytest.mark.parametrize("high", [46, 50, 60])
def test_two_kinds_of_which_neither_is_a_majority_are_left_alone(high):
    """A gap within the upper kind, of several of the lower one's spreads, splits nothing."""
    rng = np.random.default_rng(high)
    low = 0.3 + 0.02 * rng.standard_normal(100 - high)
    upper = 2.8 + 0.2 * rng.standard_normal(high)
    upper[upper > 2.8] += 0.2
    values = np.concatenate([low, upper])
    assert not split(values, 4.5, 0.75, 0.01).found
    # With the lower kind a clear majority, the other is what does not belong.
    more = np.concatenate([low, 0.3 + 0.02 * rng.standard_normal(high), upper])
    assert set(np.flatnonzero(split(more, 4.5, 0.75, 0.01).suspicion > 1)) == set(
        range(100, 100 + high)
    )
