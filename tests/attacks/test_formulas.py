"""Attacks against their authors' formulas: worked by hand, or as slow loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lomar_cli.attacks.alie import Alie, z_max
from lomar_cli.attacks.boost import Boost
from lomar_cli.attacks.context import Earlier
from lomar_cli.attacks.free_rider_replay import FreeRiderReplay
from lomar_cli.attacks.free_rider_zero import FreeRiderZero
from lomar_cli.attacks.gaussian_noise import GaussianNoise
from lomar_cli.attacks.inf import Inf
from lomar_cli.attacks.ipm import Ipm
from lomar_cli.attacks.mimic import Mimic
from lomar_cli.attacks.min_max import MinMax
from lomar_cli.attacks.min_sum import MinSum
from lomar_cli.attacks.model_replacement import ModelReplacement
from lomar_cli.attacks.nan import Nan
from lomar_cli.attacks.neurotoxin import Neurotoxin
from lomar_cli.attacks.sign_flip import SignFlip
from lomar_cli.attacks.stealth_model_poison import StealthModelPoison
from lomar_cli.errors import UsageError
from tests.attacks.seen import block, seen, seen_by_own


def test_z_of_alie_is_the_papers():
    # n = 50, m = 24: s = 26 - 24 = 2 to win over of 26, so the quantile of 24/26 (1.4261).
    assert z_max(50, 24) == pytest.approx(1.42607687)
    # n = 10, m = 1: s = 6 - 1 = 5 of 9, the quantile of 4/9: below the mean.
    assert z_max(10, 1) == pytest.approx(-0.13971030)
    with pytest.raises(UsageError, match="--z"):
        z_max(10, 6)


def test_alie_and_ipm_by_hand():
    context = seen([[1.0, 2], [3, 6]], [[9.0, 9]])
    # Mean (2, 4), deviation (sqrt 2, 2 sqrt 2).
    np.testing.assert_allclose(
        Alie(z=2)(context), [[2 + 2 * math.sqrt(2), 4 + 4 * math.sqrt(2)]], rtol=1e-12
    )
    np.testing.assert_allclose(Ipm()(context), [[-1, -2]])
    np.testing.assert_allclose(SignFlip(strength=2)(context), [[-18, -18]])


def test_boost_takes_own_updates_or_the_target():
    own = [[1.0, 2], [3, 4]]
    np.testing.assert_allclose(Boost()(seen([[0.0, 0]], own)), [[10, 20], [30, 40]])
    context = seen([[0.0, 0]], own, target=np.array([1.0, -1]))
    np.testing.assert_allclose(Boost(boost=3)(context), [[3, -3], [3, -3]])


def test_stealth_holds_within_the_distance_and_boosts():
    # Mean (1, 0), both benign at distance 1; the malicious update lies 4 above the mean.
    known, own = [[0.0, 0], [2, 0]], [[1.0, 4]]
    np.testing.assert_allclose(StealthModelPoison()(seen(known, own)), [[10, 10]])
    # A third benign one at the mean itself: the furthest counts.
    np.testing.assert_allclose(StealthModelPoison()(seen([*known, [1.0, 0]], own)), [[10, 10]])
    # Boosted first: (10, 40), which is (9, 40) from the mean and 41 away.
    got = StealthModelPoison(constrain="after")(seen(known, own))
    np.testing.assert_allclose(got, [[1 + 9 / 41, 40 / 41]])
    np.testing.assert_allclose(StealthModelPoison(distance=5)(seen(known, own)), [[10, 40]])


def test_stealth_is_never_further_than_asked():
    known, own = block(12), block(4, seed=2, centre=3)
    context = seen(known, own)
    got = StealthModelPoison(constrain="after", distance=0.5)(context)
    mean = known.mean(axis=0)
    furthest = max(np.linalg.norm(row - mean) for row in known)
    for row in got:
        assert np.linalg.norm(row - mean) <= 0.5 * furthest * (1 + 1e-12)


@pytest.mark.parametrize("lr", [1.0, 0.25])
def test_model_replacement_makes_the_average_the_target(lr):
    known, own = block(6), block(2, seed=3)
    weights, mine = np.array([5.0, 1, 2, 8, 3, 3]), np.array([4.0, 6])
    wanted = np.arange(20.0)
    context = seen(known, own, known_weights=weights, own_weights=mine, target=wanted)
    got = ModelReplacement(cancel=True, global_lr=lr)(context)
    every, all_weights = np.concatenate([known, got]), np.concatenate([weights, mine])
    average = np.average(every, axis=0, weights=all_weights)
    np.testing.assert_allclose(lr * average, wanted, atol=1e-12)


def test_model_replacement_without_cancelling_is_eq_3():
    # Equal samples: gamma = n / (eta m) = 8 / 2.
    context = seen(block(6), block(2, seed=3), target=np.ones(20))
    np.testing.assert_allclose(ModelReplacement()(context), 4 * np.ones((2, 20)))
    by_own = seen_by_own(block(2, seed=3), clients=8, target=np.ones(20))
    np.testing.assert_allclose(ModelReplacement()(by_own), 4 * np.ones((2, 20)))
    with pytest.raises(UsageError, match="--cancel"):
        ModelReplacement(cancel=True)(by_own)


def direction(known, kind):
    mean = known.mean(axis=0)
    deviation = np.sqrt(((known - mean) ** 2).sum(axis=0) / (len(known) - 1))
    return {"std": -deviation, "unit": -mean / np.linalg.norm(mean), "sign": -np.sign(mean)}[kind]


def passes_max(vector, known):
    apart = max(np.linalg.norm(a - b) for a in known for b in known)
    return max(np.linalg.norm(vector - a) for a in known) <= apart


def passes_sum(vector, known):
    most = max(sum(np.linalg.norm(a - b) ** 2 for b in known) for a in known)
    return sum(np.linalg.norm(vector - b) ** 2 for b in known) <= most


@pytest.mark.parametrize("kind", ["std", "unit", "sign"])
@pytest.mark.parametrize(("attack", "passes"), [(MinMax, passes_max), (MinSum, passes_sum)])
def test_min_max_and_min_sum_go_as_far_as_their_constraint(attack, passes, kind):
    known = block(7, size=5)
    mean, towards = known.mean(axis=0), direction(known, kind)
    low, high = 0.0, 1e6
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if passes(mean + middle * towards, known) else (low, middle)
    assert low > 0
    got = attack(perturbation=kind)(seen(known, block(2, size=5, seed=4)))
    np.testing.assert_allclose(got, [mean + low * towards] * 2, rtol=1e-9)


def test_mimic_copies_who_is_furthest_out_along_the_variance():
    # They vary along the first axis; the third lies furthest out on it.
    known = [[1.0, 0.1], [2, -0.1], [-9, 0], [4, 0.1]]
    for side in (1, -1):
        turned = side * np.array(known)
        np.testing.assert_allclose(Mimic()(seen(turned, [[0.0, 0]] * 2)), [[-9 * side, 0]] * 2)
    with pytest.raises(UsageError, match="did you mean 'site-1'"):
        Mimic(victim="site-11")(seen(known, [[0.0, 0]], known_ids=["site-1", "a", "b", "c"]))


@pytest.mark.parametrize("seed", range(8))
def test_mimic_finds_the_victim_on_either_side(seed):
    known = block(9, size=4, seed=seed, centre=0)
    first = np.linalg.svd(known - known.mean(axis=0))[2][0]
    victim = max(range(9), key=lambda row: abs(known[row] @ first))
    np.testing.assert_allclose(Mimic()(seen(known, [[0.0] * 4])), [known[victim]])


def test_neurotoxin_keeps_the_least_used_coordinates():
    known = [[1.0, -8, 0, 3], [1, -8, 0, 5]]
    context = seen(known, [[1.0, 2, 3, 4]])
    np.testing.assert_allclose(Neurotoxin(retain=0.5)(context), [[1, 0, 3, 0]])
    np.testing.assert_allclose(Neurotoxin(retain=0.75, boost=2)(context), [[2, 0, 6, 8]])
    earlier = Earlier(["a"], np.array([[0.0, 0, 9, 9]]), np.ones(1))
    context = seen(known, [[1.0, 2, 3, 4]], earlier=earlier)
    np.testing.assert_allclose(Neurotoxin(retain=0.5)(context), [[1, 2, 0, 0]])


def test_free_riders():
    earlier = Earlier(["a", "b"], np.array([[1.0, 1], [4, 7]]), np.array([1.0, 2]))
    context = seen([[0.0, 0]], [[5.0, 5], [6, 6]], own_ids=["b", "a"], earlier=earlier)
    np.testing.assert_array_equal(FreeRiderZero()(context), np.zeros((2, 2)))
    np.testing.assert_allclose(FreeRiderReplay()(context), [[3, 5]] * 2)
    np.testing.assert_allclose(FreeRiderReplay(send="own")(context), [[4, 7], [1, 1]])
    # Deviations of the earlier round: 1.5 and 3.
    many = seen([[0.0, 0]], np.zeros((4000, 2)), earlier=earlier)
    noise = FreeRiderReplay(noise=0.1)(many) - [3, 5]
    np.testing.assert_allclose(noise.std(axis=0), [0.15, 0.3], rtol=0.05)
    assert (np.abs(noise.mean(axis=0)) < 0.02).all()
    with pytest.raises(UsageError, match="--replay"):
        FreeRiderReplay()(seen([[0.0]], [[0.0]]))
    with pytest.raises(UsageError, match="'z' is not in the earlier round"):
        FreeRiderReplay(send="own")(seen([[0.0] * 2], [[0.0] * 2], own_ids=["z"], earlier=earlier))


def test_noise_has_the_asked_deviation():
    known, own = 3 * np.ones((5, 20_000)), 7 * np.ones((2, 20_000))
    got = GaussianNoise(sigma=2)(seen(known, own))
    assert got.std() == pytest.approx(6, rel=0.02)
    assert abs(got.mean()) < 0.1
    got = GaussianNoise(sigma=2, absolute=True, around="own")(seen(known, own))
    assert got.std() == pytest.approx(2, rel=0.02)
    assert got.mean() == pytest.approx(7, rel=0.02)


def test_a_share_of_what_is_not_finite():
    known, own = block(3), block(4, seed=5)
    assert np.isnan(Nan()(seen(known, own))).all()
    got = Inf(share=0.25)(seen(known, own))
    assert (np.isinf(got).sum(axis=1) == 5).all()
    np.testing.assert_array_equal(got[np.isfinite(got)], own[np.isfinite(got)])
    assert (np.isnan(Nan(share=1e-9)(seen(known, own))).sum(axis=1) == 1).all()


def test_jitter_spreads_copies():
    context = seen(3 * block(40), block(30, seed=6))
    got = Alie(z=0.0, jitter=0.5)(context)
    spread = (got - context.mean) / context.deviation
    assert spread.std() == pytest.approx(0.5, rel=0.1)


def test_a_line_search_by_own_knowledge_keeps_the_attackers_share():
    """6 attackers of 24 clients: beside its 6 known updates it reckons with 6 * 6 / 18 = 2."""
    asked = []

    class Counts:
        def aggregate(self, rule, honest, malicious, weights, tolerated):
            asked.append((rule, len(honest), len(malicious), len(weights), tolerated))
            return np.concatenate([honest, malicious]).mean(axis=0)

    own = block(6)
    Ipm(against="fedavg")(seen_by_own(own, clients=24, defender=Counts()))
    assert set(asked) == {("fedavg", 6, 2, 8, 2)}
    asked.clear()
    Ipm(against="fedavg")(seen(block(18), own, defender=Counts()))
    assert set(asked) == {("fedavg", 18, 6, 24, 6)}


@pytest.mark.parametrize(
    "attack",
    [SignFlip(of="all"), StealthModelPoison(constrain="x"), MinMax(perturbation="y"), Nan(share=0)],
)
def test_options_are_checked(attack):
    with pytest.raises(UsageError, match="--"):
        attack(seen(block(4), block(2)))
