"""Rounds whose clients have different numbers of samples, and so updates of different lengths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lomar_cli.scoring.auto.level import Levelled, level_of, one_length
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.judge import judge
from lomar_cli.scoring.lomar_auto import LomarAuto
from tests.scoring.auto.rounds import appended, digits, flat, pure
from tests.scoring.plain import from_matrix


def drawn(count, exponent, seed=0, noise=0.1):
    """Lengths that grow as a power of numbers of samples, and these."""
    rng = np.random.default_rng(seed)
    samples = np.clip(100 * np.exp(rng.standard_normal(count)), 5, 2000).astype(np.int64)
    return 0.01 * samples**exponent * np.exp(noise * rng.standard_normal(count)), samples


@pytest.mark.parametrize("exponent", [0.5, 0.8, 1.0])
def test_the_exponent_is_that_of_a_majority(exponent):
    lengths, samples = drawn(200, exponent)
    found = level_of(lengths, samples)
    assert abs(found.exponent - exponent) <= 0.1
    levelled = np.log(found.factors * lengths)[(samples > 30) & (samples < 300)]
    assert levelled.std() < 0.25 < np.log(lengths).std()
    # Four clients in ten who say and send what they like change it by little.
    lengths[:80], samples[:80] = 50.0, 7
    assert abs(level_of(lengths, samples).exponent - exponent) <= 0.2


def test_a_third_of_the_clients_makes_no_difference_of_equal_numbers():
    rng = np.random.default_rng(0)
    lengths, samples = np.exp(0.1 * rng.standard_normal(150)), np.full(150, 100)
    samples[:50] = 100 * np.geomspace(1, 8, 50)
    lengths[:50] *= samples[:50] / 100
    assert level_of(lengths, samples) is None


def test_copies_at_other_scales_with_claims_to_go_with_them_frame_nobody():
    for seed in (1, 2):
        honest = resized(digits("0", seed)[0], seed)
        exponent = level_of(Geometry(honest).norms, honest.num_examples).exponent
        victim = int(np.argsort(honest.num_examples)[50])
        times = np.array([0.4, 0.5, 0.7, 1.5, 2.0, 2.5])
        copies = times[:, None] * flat(honest)[victim]
        updates = appended(honest, copies, [f"p{i}" for i in range(6)])
        claims = honest.num_examples[victim] * times ** (1 / exponent)
        counts = np.concatenate([honest.num_examples, claims.astype(np.int64)])
        judged = judge(replace(updates, num_examples=counts), LomarAuto())
        assert judged.keep[:100].all(), seed
        assert any("near-copies" in note for note in judged.notes)


def test_where_samples_say_nothing_nothing_changes():
    lengths, samples = drawn(100, 0.8)
    assert level_of(lengths, np.full(100, 50)) is None
    assert level_of(np.ones(100), samples) is None
    assert level_of(np.zeros(100), samples) is None


def test_lengths_that_speak_of_numbers_nobody_gave_are_told():
    lengths, samples = drawn(100, 0.8)
    ones = np.ones(100, np.int64)
    found = one_length(lengths, ones)
    assert "num_examples is 1 for most" in found.note and "--weights" in found.note
    assert one_length(lengths, samples) is None and one_length(np.zeros(100), ones) is None
    same = drawn(100, 0.0)[0]
    assert one_length(same, ones) is None
    # A boost of four in ten is no such thing.
    assert one_length(np.where(np.arange(100) < 40, 10, 1) * same, ones) is None
    # All come to one length, who is within a factor of eight of the usual one.
    usual = np.median(lengths)
    lengths[:3] = [0, usual / 80, usual * 80]
    level = one_length(lengths, ones)
    there = level.factors * lengths
    np.testing.assert_allclose(there[:3], [0, usual / 10, usual * 10], rtol=0.05)
    near = np.abs(np.log(np.maximum(lengths, 1e-9) / np.median(lengths))) < np.log(8)
    np.testing.assert_allclose(there[near], np.median(lengths[lengths > 0]), rtol=1e-9)


def test_a_claim_is_worth_no_more_than_a_factor_of_eight():
    lengths, samples = drawn(100, 1.0)
    before = level_of(lengths, samples)
    samples[:4] = [10 * samples.max(), 1, 10**18, 0]
    after = level_of(lengths, samples)
    assert after.factors[0] == pytest.approx(1 / 8) and after.factors[1] == pytest.approx(8)
    # No number of samples at all.
    assert after.factors[2] == after.factors[3] == 1
    assert ((after.factors >= 0.1249) & (after.factors <= 8.001)).all()
    assert abs(np.log(after.factors[4:] / before.factors[4:])).max() < 0.2


def test_a_levelled_geometry_is_that_of_the_updates_times_the_factors():
    rng = np.random.default_rng(3)
    matrix = rng.standard_normal((40, 60)) * rng.uniform(0.2, 5, (40, 1))
    matrix[1] = matrix[0] * (1 + 1e-7)
    factors = rng.uniform(0.25, 4, 40)
    factors[1] = factors[0]
    whole = Geometry(from_matrix(matrix))
    found = Levelled(whole, factors, whole.norms)
    there = Geometry(from_matrix(matrix * factors[:, None]))
    np.testing.assert_allclose(found.squares, there.squares, rtol=1e-9, atol=1e-18)
    np.testing.assert_allclose(found.norms, there.norms, rtol=1e-12)
    for name in ("inner", "lengths", "median_length", "zeros", "positives"):
        expected = getattr(there.course, name)
        np.testing.assert_allclose(getattr(found.course, name), expected, rtol=1e-9, atol=1e-12)
    assert (np.diag(found.squares) == 0).all() and (found.squares == found.squares.T).all()


def resized(updates, seed, exponent=0.8):
    """The same round, its clients with other numbers of samples and lengths to go with them."""
    _, samples = drawn(len(updates.clients), 1.0, seed)
    times = (samples / 100) ** exponent
    tensors = {
        name: (value.T * times).T.astype(value.dtype) for name, value in updates.tensors.items()
    }
    return replace(updates, tensors=tensors, num_examples=samples)


@pytest.mark.parametrize("scheme", ["0", "dirichlet1"])
def test_flippers_of_several_sizes_are_found_and_nobody_else(scheme):
    for seed in (1, 2):
        honest, _ = digits(scheme, seed)
        names = [f"p{i}" for i in range(30)]
        updates = resized(appended(honest, pure(1, 7, 30, seed=seed), names), seed)
        judged = judge(updates, LomarAuto())
        assert judged.keep[:100].all(), seed
        assert (~judged.keep[100:]).mean() > 0.8, seed
        assert any("as many samples" in note for note in judged.notes)
        # One in a hundred is what is asked for.
        assert (~judge(resized(honest, seed), LomarAuto()).keep).sum() <= 1, seed
        # Without their numbers they are found at one length.
        blind = judge(replace(updates, num_examples=np.full(130, 1)), LomarAuto())
        assert blind.keep[:100].all(), seed
        assert (~blind.keep[100:]).mean() > 0.8, seed
        assert not any("as many samples" in note for note in blind.notes)
        assert any("judged at one length" in note for note in blind.notes)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("scheme", ["0", "0.5"])
def test_honest_clients_with_steps_of_their_own_are_kept(scheme, seed):
    """Short updates are close to each other: in an earlier state 37 of 100 were removed."""
    updates, _ = digits(scheme, seed)
    times = np.exp(np.random.default_rng(seed).standard_normal(100))
    tensors = {n: (t.T * times).T.astype(t.dtype) for n, t in updates.tensors.items()}
    judged = judge(replace(updates, tensors=tensors), LomarAuto())
    assert (~judged.keep).sum() <= 1


def test_one_length_is_asked_for_by_the_majority_alone():
    """Copies of any length, four in ten of the clients, do not change how the others are seen."""
    updates, _ = digits("0.5")
    rows = flat(updates)[:60] * np.geomspace(0.1, 10, 60)[:, None]
    lengths = Geometry(appended(updates, rows, [f"x{i}" for i in range(60)])).norms
    assert one_length(lengths, np.full(160, 60)) is None
