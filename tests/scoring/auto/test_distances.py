"""The three views by distance, and the two by direction, against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lomar_cli.scoring.auto import direction, distances
from lomar_cli.scoring.auto.base import Seen
from lomar_cli.scoring.geometry import Geometry
from tests.scoring.auto import slow
from tests.scoring.plain import from_matrix
from tests.scoring.rounds import as_updates


def seen(flat, false_alarm=0.01):
    count = len(flat)
    return Seen(Geometry(from_matrix(flat)), np.ones(count, bool), false_alarm)


def a_round(seed, count, kind):
    """Honest updates around a common one, and a fifth that attack."""
    rng = np.random.default_rng(seed)
    flat = rng.standard_normal((count, 12)) + 2.0
    bad = count // 5
    if kind == "copies":
        flat[:bad] = flat[0] + 0.15 * rng.standard_normal((bad, 12))
    elif kind == "far":
        flat[:bad] += 20 * rng.standard_normal((bad, 12))
    elif kind == "against":
        flat[:bad] = -3 * flat[:bad]
    return flat


def by_side(sorted_distances, at):
    return [math.log(one[at - 1]) for one in sorted_distances]


@pytest.mark.parametrize("kind", ["none", "copies", "far", "against"])
@pytest.mark.parametrize("count", [12, 41, 60])
def test_distance_views_are_the_plain_loops(kind, count):
    flat = a_round(count, count, kind)
    found = slow.distances(flat.tolist())
    k = count // 2
    kth, second = by_side(found, k), by_side(found, 2)
    whole = [math.log(sum(one[:k]) / k) for one in found]
    for view, values, constants in (
        (distances.far, kth, distances._FAR),
        (distances.mean, whole, distances._MEAN),
    ):
        expected, flagged = slow.suspicions(values, *constants)
        sight = view(seen(flat))
        np.testing.assert_allclose(sight.suspicion, expected, rtol=1e-6, atol=1e-9)
        assert set(sight.words) == flagged
    close = [a - b for a, b in zip(kth, second, strict=True)]
    constants = distances._NEAR if count >= 50 else distances._NEAR_SMALL
    expected, flagged = slow.suspicions(close, *constants)
    if count >= 50:
        fourth = by_side(found, 4)
        wide = [a - b for a, b in zip(kth, fourth, strict=True)]
        more, too = slow.suspicions(wide, *distances._NEAR)
        if flagged and too:
            expected = np.maximum(expected, more)
        elif not flagged:
            expected, flagged = more, too
        flagged = set(np.flatnonzero(expected > 1))
    if flagged:  # otherwise they are far more than a quarter closer
        assert min(close[i] for i in flagged) > np.median(close) + distances._LEAST
    sight = distances.near(seen(flat))
    np.testing.assert_allclose(sight.suspicion, expected, rtol=1e-6, atol=1e-9)
    assert set(sight.words) == flagged


@pytest.mark.parametrize("kind", ["none", "against", "far"])
def test_direction_views_are_the_plain_loops(kind):
    flat = a_round(7, 41, kind)
    middle = [sorted(column)[20] for column in flat.T.tolist()]
    length = math.sqrt(sum(m * m for m in middle))
    inner = [sum(a * b for a, b in zip(one, middle, strict=True)) for one in flat.tolist()]
    lengths = [math.sqrt(sum(a * a for a in one)) for one in flat.tolist()]
    cosines = [-a / (b * length) for a, b in zip(inner, lengths, strict=True)]
    along = [-a / length**2 for a in inner]
    for view, values in ((direction.direction, cosines), (direction.projection, along)):
        expected, flagged = slow.suspicions(values, *direction._CONSTANTS)
        sight = view(seen(flat))
        against = np.array(values) > 0
        np.testing.assert_allclose(
            sight.suspicion, np.where(against, expected, np.minimum(expected, 0.99)), rtol=1e-6
        )
        assert set(sight.words) == {i for i in flagged if against[i]}


def test_each_attack_is_found_by_its_view():
    for kind, view in (
        ("copies", distances.near),
        ("far", distances.far),
        ("far", distances.mean),
        ("against", direction.direction),
        ("against", direction.projection),
    ):
        for seed in range(5):
            sight = view(seen(a_round(seed, 60, kind)))
            assert set(np.flatnonzero(sight.suspicion > 1)) == set(range(12)), (kind, seed)


@pytest.mark.parametrize("view", [distances.near, distances.far, distances.mean])
def test_equal_updates_cannot_be_compared(view):
    sight = view(seen(np.ones((20, 3))))
    assert np.isnan(sight.suspicion).all() and not sight.found
    assert "too uniform" in sight.notes[0]


def test_a_median_of_zero_has_no_direction():
    flat = np.vstack([np.eye(12), -np.eye(12)])
    for view in (direction.direction, direction.projection):
        sight = view(seen(flat))
        assert np.isnan(sight.suspicion).all() and not sight.found


def test_turning_and_scaling_the_space_changes_no_distance_view():
    flat = a_round(5, 60, "copies")
    turn, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((12, 12)))
    for view in (distances.near, distances.far, distances.mean):
        np.testing.assert_allclose(
            view(seen(1e-4 * flat @ turn + 3)).suspicion, view(seen(flat)).suspicion, rtol=1e-4
        )


@pytest.mark.parametrize("attackers", [0, 10])
def test_where_all_come_in_pairs_only_a_crowd_is_close(attackers):
    """Forty pairs of honest clients; ten attackers close to each other, if any."""
    rng = np.random.default_rng(1)
    honest = np.repeat(rng.standard_normal((40, 50)), 2, axis=0)
    crowd = np.repeat(rng.standard_normal((1, 50)), attackers, axis=0)
    flat = np.concatenate([honest, crowd])
    flat += 0.05 * rng.standard_normal(flat.shape)
    everybody = np.ones(len(flat), bool)
    said = distances.near(Seen(Geometry(from_matrix(flat)), everybody, 0.01, close=True))
    assert set(np.flatnonzero(said.suspicion > 1)) == set(range(80, 80 + attackers))


@pytest.mark.parametrize("close", [False, True])
def test_a_few_per_cent_closer_than_usual_is_no_sign(close):
    """A group a tenth closer together, in a round whose distances are alike to a thousandth."""
    flat = np.random.default_rng(3).standard_normal((102, 20000))
    flat, one, other = flat[:100], flat[100], flat[101]
    flat[:20] = 0.9 * flat[:20] + math.sqrt(0.19) * one
    everybody = np.ones(100, bool)
    said = distances.near(Seen(Geometry(from_matrix(flat)), everybody, 0.01, close))
    assert not said.found and not (said.suspicion > 1).any()
    # Nor does it become one beside a group that is.
    flat[20:40] = 0.2 * flat[20:40] + math.sqrt(0.96) * other
    said = distances.near(Seen(Geometry(from_matrix(flat)), everybody, 0.01, close))
    assert set(np.flatnonzero(said.suspicion > 1)) == set(range(20, 40))


@pytest.mark.parametrize("attackers", [0, 26, 60])
def test_a_group_larger_than_a_labels_is_seen_where_label_groups_are_as_tight(attackers):
    """Ten labels, whose twelve clients each are as close to each other as attackers are."""
    rng = np.random.default_rng(attackers)
    centres = rng.standard_normal((11, 300))
    own = np.repeat(np.arange(11), [12] * 10 + [attackers])
    flat = centres[own] + 0.01 * rng.standard_normal((120 + attackers, 300))
    everybody = np.ones(len(flat), bool)
    updates = as_updates(flat.reshape(-1, 10, 30))
    said = distances.near(Seen(Geometry(updates), everybody, 0.01))
    assert set(np.flatnonzero(said.suspicion > 1)) == set(range(120, 120 + attackers))
    # How large a label's group is, is known where the labels are.
    blind = distances.near(Seen(Geometry(from_matrix(flat)), everybody, 0.01))
    assert not blind.found


def test_label_groups_that_look_alike_are_no_attackers():
    """Two of ten labels whose clients are closer to each other than to the rest, not that close."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((10, 300))
    centres[1] = centres[0] + 0.5 * rng.standard_normal(300)
    flat = centres[np.repeat(np.arange(10), 12)] + 0.01 * rng.standard_normal((120, 300))
    updates = as_updates(flat.reshape(-1, 10, 30))
    said = distances.near(Seen(Geometry(updates), np.ones(120, bool), 0.01))
    assert not said.found and not (said.suspicion > 1).any()


@pytest.mark.parametrize("kinds", [10, 1])
def test_so_many_tight_groups_are_no_attackers_unless_they_are_one(kinds):
    """Fifty clients in ten tight groups far from each other, or in one, beside sixty alone."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((kinds, 300))
    tight = np.repeat(centres, 50 // kinds, axis=0) + 0.01 * rng.standard_normal((50, 300))
    flat = np.concatenate([rng.standard_normal((62, 300)), tight])
    sight = distances.near(Seen(Geometry(from_matrix(flat)), np.ones(112, bool), 0.01))
    assert set(np.flatnonzero(sight.suspicion > 1)) == (
        set(range(62, 112)) if kinds == 1 else set()
    )
    assert sight.found == (kinds == 1)
    assert ["50 of 112 clients lie in tight groups" in note for note in sight.notes] == (
        [True] if kinds > 1 else []
    )


def test_beside_tight_label_groups_a_larger_one_is_still_seen():
    """Nine label groups of five and one of twenty are tight, ninety-five clients are not."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((10, 300))
    own = np.repeat(np.arange(10), [5] * 9 + [20])
    tight = centres[own] + 0.01 * rng.standard_normal((65, 300))
    flat = np.concatenate([rng.standard_normal((95, 300)), tight])
    updates = as_updates(flat.reshape(-1, 20, 15))
    sight = distances.near(Seen(Geometry(updates), np.ones(160, bool), 0.01))
    assert set(np.flatnonzero(sight.suspicion > 1)) == set(range(140, 160))
    assert ["larger groups only" in note for note in sight.notes] == [True]
