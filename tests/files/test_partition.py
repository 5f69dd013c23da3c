"""What a split's schemes draw: sizes, no repeats, label shares. Fixed seeds, wide bounds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lomar_cli.data.partition import SCHEMES, draw
from lomar_cli.errors import UsageError

LABELS, PER_LABEL = 10, 200
# Those by group draw nothing: tests/data/test_natural.py.
DRAWN = [name for name, entry in SCHEMES.items() if not entry.grouped]
TRUTH = np.random.default_rng(0).permutation(np.repeat(np.arange(LABELS), PER_LABEL))
# Four times as many of one label as of another.
UNEVEN = np.random.default_rng(0).permutation(np.repeat(np.arange(4), [100, 200, 300, 400]))


def drawn(scheme, clients, samples, labels=TRUTH, seed=1, **options):
    return draw(scheme, labels, clients, samples, rng=np.random.default_rng(seed), **options)


def counts(own, labels=TRUTH):
    return np.bincount(labels[own], minlength=labels.max() + 1)


@pytest.mark.parametrize("scheme", DRAWN)
@pytest.mark.parametrize(("clients", "samples"), [(1, 1), (7, 50), (30, 33), (3, 2000)])
def test_sizes_and_no_repeats(scheme, clients, samples):
    options = {"shards": 1} if scheme == "shards" else {}
    found = drawn(scheme, clients, samples, **options)
    assert len(found) == clients
    for own in found:
        assert own.dtype == np.int64
        assert len(own) == len(set(own.tolist())) == samples
        assert 0 <= own.min() <= own.max() < len(TRUTH)


@pytest.mark.parametrize("scheme", DRAWN)
def test_the_seed_decides(scheme):
    one, again, other = (drawn(scheme, 5, 40, seed=seed) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(one, again, strict=True))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("imbalance", [0.1, 0.5, 0.9])
def test_the_major_label_has_its_share_and_a_tenth_of_the_rest(imbalance):
    samples, clients = 100, 200
    found = np.array([counts(own) for own in drawn("paper", clients, samples, imbalance=imbalance)])
    majors = found.argmax(axis=1)
    shares = found.max(axis=1) / samples
    if imbalance >= 0.5:
        assert (shares >= imbalance).all()
        # Each label is the major one of as many clients.
        assert (np.bincount(majors, minlength=LABELS) == clients // LABELS).all()
        expected = imbalance + (1 - imbalance) / LABELS
        # Slightly below, as the major label's samples in the rest must not repeat.
        assert expected - 0.02 < shares.mean() <= expected + 0.01


def test_half_the_samples_are_of_the_major_label_by_hand():
    for own in drawn("paper", 20, 40, imbalance=0.5):
        first, rest = own[:20], own[20:]
        assert len(set(TRUTH[first])) == 1
        assert len(set(TRUTH[rest])) > 1


@pytest.mark.parametrize("scheme", ["paper", "iid"])
@pytest.mark.parametrize("labels", [TRUTH, UNEVEN], ids=["even", "uneven"])
def test_independent_draws_follow_the_data(scheme, labels):
    found = sum(counts(own, labels) for own in drawn(scheme, 100, 50, labels))
    expected = np.bincount(labels) / len(labels) * found.sum()
    statistic = ((found - expected) ** 2 / expected).sum()
    # Draws without replacement vary less than the test assumes, never more.
    assert statistic < stats.chi2.ppf(0.999, len(expected) - 1)


def test_independent_draws_reach_every_sample():
    times = np.zeros(len(TRUTH))
    for own in drawn("iid", 400, 50):
        times[own] += 1
    # Ten times each on average; Poisson beyond 30 is a chance of one in ten million.
    assert 0 < times.mean() < times.max() < 30
    assert (times == 0).mean() < 0.001


def test_major_labels_come_in_random_order():
    majors = [int(counts(own).argmax()) for own in drawn("paper", 200, 50, imbalance=0.9)]
    assert majors != sorted(majors)
    assert set(majors[:100]) == set(majors[100:]) == set(range(LABELS))


@pytest.mark.parametrize("alpha", [0.05, 0.5, 5.0, 500.0])
def test_dirichlet_is_more_even_the_higher_alpha(alpha):
    samples = 100
    shares = np.array([counts(own) for own in drawn("dirichlet", 300, samples, alpha=alpha)])
    shares = shares / samples
    # Var of a Dirichlet share is p(1 - p) / (alpha R + 1); a draw of n samples adds p(1 - p) / n.
    p = 1 / LABELS
    spread = p * (1 - p)
    expected = spread / (alpha * LABELS + 1)
    found = shares.var()
    assert expected * 0.7 < found < (expected + spread / samples) * 1.3
    np.testing.assert_allclose(shares.mean(axis=0), p, atol=0.06)


def test_dirichlet_uses_up_a_label_and_goes_on():
    for own in drawn("dirichlet", 20, 900, UNEVEN, alpha=0.01):
        assert len(set(own.tolist())) == 900
        assert (counts(own, UNEVEN) <= [100, 200, 300, 400]).all()


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_shards_are_stretches_of_the_sorted_samples(shards):
    samples = 60
    place = np.empty(len(TRUTH), int)
    place[np.argsort(TRUTH, kind="stable")] = np.arange(len(TRUTH))
    for own in drawn("shards", 10, samples, shards=shards):
        ranks = np.sort(place[own])
        assert int((np.diff(ranks) > 1).sum()) <= shards - 1
        assert len(np.unique(TRUTH[own])) <= 2 * shards


def test_shards_are_handed_out_once_before_any_twice():
    found = drawn("shards", 10, 200, shards=2)
    assert len(set(np.concatenate(found).tolist())) == len(TRUTH)


@pytest.mark.parametrize("shards", [2, 3, 7])
def test_uneven_shards_add_up(shards):
    assert {len(own) for own in drawn("shards", 5, 100, shards=shards)} == {100}


@pytest.mark.parametrize("samples", [2001, 10**9])
@pytest.mark.parametrize("scheme", DRAWN)
def test_more_samples_than_there_are(scheme, samples):
    with pytest.raises(UsageError, match="--samples-per-client"):
        drawn(scheme, 1, samples)
