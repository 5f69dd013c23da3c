"""Contrasts of pairs of labels, and the evidence for a pair, against slow loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

from lomar_cli.scoring.auto import contrast
from lomar_cli.scoring.auto.evidence import evidence, level
from tests.scoring.auto import slow_labels


def content(seed=0, count=50, labels=4, flip=None, attackers=0, noise=0.02, without=None):
    """A (n, R, R) of softmax-like clients, and the squared noise of their rows (n, R).

    If given, a share ``without`` holds no 1, and classes 2 and 0 look like 1s called 0 and 3.
    """
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(labels, 1.5), count)
    own = np.eye(labels) - 1 / labels
    if without is not None:
        shares[: round(without * count), 1] = 0.0
    a = shares[:, None, :] * own
    if without is not None:
        a[:, 0, 1] += 0.5 * shares[:, 2]
        a[:, 3, 1] += 0.3 * shares[:, 0]
    if flip is not None:
        s, g = flip
        guilty = np.arange(count) >= count - attackers
        a[guilty, s, s] -= shares[guilty, s]
        a[guilty, g, s] += shares[guilty, s]
    rest = rng.uniform(0.5, 2.0, (count, labels))
    a = a + noise * np.sqrt(rest)[:, :, None] * rng.standard_normal(a.shape)
    return a, rest


@pytest.mark.parametrize("seed", range(3))
def test_noise_units_are_the_slow_loops(seed):
    a, rest = content(seed)
    trusted = np.arange(50) % 7 > 0
    held = np.maximum(np.einsum("nll->nl", a), 0)
    found = contrast.noise_units(a, held, rest, trusted)
    np.testing.assert_allclose(found, slow_labels.units(a, held, rest, trusted), rtol=1e-6)
    # And near the noise that was put in.
    assert (np.abs(found / 0.02 - 1) < 0.5).all()


@pytest.mark.parametrize("without", [None, 0.25, 0.6])
@pytest.mark.parametrize("flip", [None, (2, 0)])
@pytest.mark.parametrize("seed", range(3))
def test_contrasts_are_the_slow_loops(seed, flip, without):
    a, rest = content(seed, flip=flip, attackers=8, without=without)
    trusted = np.arange(50) % 9 > 0
    judged = np.array([True, True, True, seed != 0])
    found = contrast.contrasts(a, rest, trusted, judged)
    z, below = slow_labels.contrasts(a, rest, trusted, judged)
    np.testing.assert_array_equal(np.isnan(found.z), np.isnan(z))
    # Coordinate descent stops after some sweeps.
    np.testing.assert_allclose(found.z, z, rtol=0.02, atol=0.02)
    np.testing.assert_allclose(found.below, below, rtol=1e-6)


@pytest.mark.parametrize("without", [0.25, 0.6])
def test_what_looks_like_a_label_is_taken_out_where_it_is_held(monkeypatch, without):
    a, rest = content(4, without=without)
    args = a, rest, np.ones(50, dtype=bool), np.ones(4, dtype=bool)
    z = contrast.contrasts(*args).z
    monkeypatch.setattr(contrast, "_from_zero", lambda moments, right: np.zeros_like(right))
    plain = contrast.contrasts(*args).z
    lacking = np.arange(50) < round(without * 50)
    for target in (0, 3):
        before, now = plain[lacking, target, 1], z[lacking, target, 1]
        assert np.median(now) < 0.5 * np.median(before)
        assert np.median(before) > 1


# Of five labels compared, four pairs each: one label at once, two (and one left), and three.
@pytest.mark.parametrize("at_once", [1, 8, 12])
@pytest.mark.parametrize("without", [0.25, 0.6])
def test_how_many_pairs_are_fitted_at_once_changes_nothing(monkeypatch, at_once, without):
    a, rest = content(3, labels=6, flip=(2, 0), attackers=8, without=without)
    trusted, compared = np.arange(50) % 9 > 0, np.arange(6) != 4
    together = contrast.contrasts(a, rest, trusted, compared)
    monkeypatch.setattr(contrast, "_AT_ONCE", at_once)
    apart = contrast.contrasts(a, rest, trusted, compared)
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_nan_is_where_nothing_was_judged():
    a, rest = content(0)
    judged = np.array([True, False, True, True])
    z = contrast.contrasts(a, rest, np.ones(50, bool), judged).z
    for g in range(4):
        for s in range(4):
            asked = g != s and judged[g] and judged[s]
            assert np.isnan(z[:, g, s]).all() != asked


def test_who_relabels_has_the_highest_contrast_in_that_pair():
    a, rest = content(1, flip=(2, 0), attackers=8)
    z = contrast.contrasts(a, rest, np.arange(50) < 42, np.ones(4, bool)).z
    assert np.median(z[42:, 0, 2]) > 5 > z[:42, 0, 2].max()
    # No honest contrast is evidence in any pair.
    assert np.nanmax(z[:42]) < 5


def test_coordinate_descent_is_nonnegative_least_squares():
    rng = np.random.default_rng(0)
    moments, right, expected = [], [], []
    for _ in range(40):
        x, y = rng.standard_normal((30, 5)), rng.standard_normal(30)
        moments.append(x.T @ x)
        right.append(x.T @ y)
        expected.append(nnls(x, y)[0])
    found = contrast._from_zero(np.stack(moments, axis=2), np.stack(right, axis=1)).T
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert (found >= 0).all() and (found == 0).any() and (found > 0).any()


def test_who_is_not_trusted_does_not_move_the_others():
    a, rest = content(2)
    trusted = np.arange(50) >= 5
    wild = a.copy()
    wild[:5] = 1e6
    z = [contrast.contrasts(one, rest, trusted, np.ones(4, bool)).z[5:] for one in (a, wild)]
    np.testing.assert_array_equal(*z)


def test_how_well_contents_follow_what_clients_say():
    rng = np.random.default_rng(0)
    a, said = rng.normal(size=(31, 4, 4)), rng.normal(size=(31, 4))
    trusted, labels = np.arange(31) >= 5, np.arange(4) < 3
    held = np.stack([a[5:, label, label] for label in range(3)], axis=1)
    own = [one - np.median(one, axis=0) for one in (held, said[5:, :3])]
    own = [one / np.sqrt((one**2).mean(axis=0)) for one in own]
    medians = [
        np.median(
            [
                np.dot(x, y) / np.linalg.norm(x) / np.linalg.norm(y)
                for x, y in zip(*two, strict=True)
            ]
        )
        for two in (own, [one.T for one in own])
    ]
    found = contrast.follows(a, said, trusted, labels)
    assert found == pytest.approx(max(medians), abs=1e-12)
    a[:5] = 1e9
    assert contrast.follows(a, said, trusted, labels) == found
    for label in range(4):
        a[:, label, label] = 3 * said[:, label] + 1
    assert contrast.follows(a, said, trusted, labels) == pytest.approx(1)
    # Where all say the same nothing follows it.
    assert contrast.follows(a, 0 * said, trusted, labels) == 0


@pytest.mark.parametrize("loud", [1.0, 30.0])
def test_a_minority_that_lies_does_not_stop_the_comparison(loud):
    rng = np.random.default_rng(1)
    said, everybody, labels = rng.normal(size=(100, 10)), np.ones(100, bool), np.ones(10, bool)
    a = np.einsum("nl,lk->nlk", said + 0.5 * rng.normal(size=said.shape), np.eye(10))
    assert contrast.follows(a, said, everybody, labels) > 0.8
    said[:30] = loud * rng.normal(size=(30, 10))
    assert contrast.follows(a, said, everybody, labels) > 0.7


def null(seed, count=60, labels=5):
    """z as honest clients give them, and NaN on the diagonal."""
    z = np.random.default_rng(seed).standard_normal((count, labels, labels))
    z[:, range(labels), range(labels)] = np.nan
    return z


def holding_nothing(z):
    return contrast.Contrasts(z, np.where(np.isnan(z), np.nan, 0.0))


@pytest.mark.parametrize("seed", range(5))
def test_evidence_is_the_slow_loops(seed):
    z = null(seed)
    z[:12, 1, 3] += 3
    z[:, 4, :] = z[:, :, 4] = np.nan
    below = np.where(np.isnan(z), np.nan, np.random.default_rng(seed).exponential(1.0, z.shape))
    below[:, :, 2] = 0
    below[::7] *= 20
    rows = np.arange(60) % 5 < 4
    found = evidence(contrast.Contrasts(z, below), rows)
    np.testing.assert_allclose(found, slow_labels.chances(z, below, rows), rtol=1e-9)
    assert found.argmin() == 1 * 5 + 3


def test_in_a_class_that_most_hold_few_come_near_zero_by_chance():
    """KDD Cup 99 in small: all hold the class but those who relabel what they hold of it."""
    rng = np.random.default_rng(0)
    z, below = np.full((2, 150, 3, 3), np.nan)
    for g, s in ((0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)):
        below[:, g, s] = rng.uniform(2, 5, 150)
        z[:, g, s] = -below[:, g, s] + rng.normal(size=150)
    z[:30, 0, 1], below[:30, 0, 1] = rng.normal(2, 1, 30), 0.0
    everybody = np.ones(150, bool)
    found = evidence(contrast.Contrasts(z, below), everybody)
    assert found.argmin() == 1 and found[0, 1] < -8
    # Were it nothing that the others hold, the gate would not be reached.
    assert evidence(contrast.Contrasts(z, 0 * below), everybody)[0, 1] > -6
    # Nor are as many as hold nothing, and are where such clients are.
    z[:30, 0, 1] = rng.normal(0, 1, 30)
    assert evidence(contrast.Contrasts(z, below), everybody).min() > -3


def test_evidence_by_hand():
    # Twenty clients, two pairs; 3 of them at z = 4 in one, and nothing above 1 elsewhere.
    z = np.full((20, 2, 2), np.nan)
    z[:, 0, 1] = z[:, 1, 0] = 0.0
    z[:3, 0, 1] = 4.0
    # Elsewhere none of 20 is so high; it counts as one: 1/20 is above the normal tail of 4 / 1.3.
    # Three or more of 20 at a chance of 1/20 have one of 0.0755.
    found = evidence(holding_nothing(z), np.ones(20, bool))
    assert found[0, 1] == pytest.approx(np.log10(0.0754837), abs=1e-5)
    assert found[1, 0] == 0 and found[0, 0] == 0


def test_a_round_of_honest_clients_has_no_evidence():
    everybody = np.ones(60, bool)
    worst = [evidence(holding_nothing(null(seed)), everybody).min() for seed in range(300)]
    # 20 pairs a round: the smallest of 300 rounds is far from the gate of 1e-6.
    assert min(worst) > -5
    heavy = [
        evidence(holding_nothing(null(seed) * (1 + 2 * (seed % 3 == 0))), everybody).min()
        for seed in range(100)
    ]
    assert min(heavy) > -6  # The round is its own null.


def test_evidence_grows_with_clients_and_with_height():
    z = null(0)

    def with_some(many, height):
        moved = z.copy()
        moved[:many, 2, 0] = height + 0.01 * np.arange(many)
        return evidence(holding_nothing(moved), np.ones(60, bool))[2, 0]

    by_many = [with_some(many, 4.0) for many in (3, 6, 12, 24)]
    by_height = [with_some(12, height) for height in (1.5, 2.5, 4.0)]
    assert by_many == sorted(by_many, reverse=True)
    assert by_height == sorted(by_height, reverse=True)


def test_the_level_is_what_a_share_of_innocent_pairs_exceeds():
    z = null(3, count=100)
    z[:40, :, 2] = 50.0
    found = level(z, np.ones(100, bool), [2], 0.01, 0.7)
    innocent = [z[i, g, s] for i in range(100) for g in range(5) for s in (0, 1, 3, 4) if g != s]
    assert found == pytest.approx(np.percentile(innocent, 99))
    assert level(0.01 * z, np.ones(100, bool), [2], 0.01, 0.7) == 0.7


def test_what_holders_send_does_not_hide_what_a_class_looks_like():
    """Class 0 looks a little like class 3, which 40 % of the clients hold: nobody is flipped.

    Those who hold it are far below 0 in the pair, and would drag the fit down to where all others
    seem to call 3 by the name of 0.
    """
    for seed in range(3):
        a, rest = content(seed, count=120, noise=0.005)
        without = np.arange(120) >= 48
        strange = np.random.default_rng(seed).standard_normal((72, 4))
        a[without, :, 3] = 0.005 * np.sqrt(rest[without]) * strange
        a[:, 0, 3] += 0.15 * np.maximum(a[:, 0, 0], 0)
        everybody = np.ones(120, bool)
        found = contrast.contrasts(a, rest, everybody, np.ones(4, bool))
        assert evidence(found, everybody).min() > -2


def common_course(strength, seed=0, count=120, labels=8):
    """Clients' contents, each moved along one direction of all pairs, by an amount of its own."""
    a, rest = content(seed, count, labels)
    rng = np.random.default_rng(seed + 100)
    amounts, course = rng.uniform(-1, 1, count), rng.standard_normal((labels, labels))
    moved = strength * 0.02 * amounts[:, None, None] * course
    return a + moved * np.sqrt(rest)[:, :, None], rest


def course(a, rest, trusted, compared):
    return contrast.otherwise(contrast.left_over(a, rest, trusted), compared)


def test_what_clients_differ_in_otherwise_shows_in_a_common_course():
    everybody, compared = np.ones(120, bool), np.ones(8, bool)
    found = [course(*common_course(s), everybody, compared) for s in (0, 1, 3)]
    # Noise alone takes about the share that it is measured by.
    assert 0.7 < found[0] < 1.4
    assert found[0] < found[1] < found[2]
    assert found[2] > 3
    # Labels that are not compared have no say, and too few pairs none either.
    a, rest = common_course(0)
    a[:, 3] += 5 * np.random.default_rng(1).standard_normal((120, 1))
    assert course(a, rest, everybody, np.arange(8) != 3) < 1.4
    assert course(a, rest, everybody, np.arange(8) < 4) == 0.0
    # Nor who is not trusted.
    a, rest = common_course(0)
    a[:20] += common_course(30)[0][:20]
    assert course(a, rest, np.arange(120) >= 20, compared) < 1.4


@pytest.mark.parametrize("noise", [0.001, 0.02, 0.1])
def test_how_well_labels_are_told_apart_is_signal_over_noise(noise):
    rng = np.random.default_rng(0)
    claims = np.full((200, 6), 0.5)
    a = np.zeros((200, 6, 6))
    a[:, range(6), range(6)] = 0.25 + noise * rng.standard_normal((200, 6))
    found = contrast.told_apart(a, claims, np.ones(200, bool), 0.03)
    assert found == pytest.approx(0.25 / noise, rel=0.15)
    # A label that fewer than eight hold is not asked.
    claims[7:, 0] = 0.0
    a[:7, 0, 0] = 40.0
    again = contrast.told_apart(a, claims, np.ones(200, bool), 0.03)
    assert again == pytest.approx(0.25 / noise, rel=0.15)
