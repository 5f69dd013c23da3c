"""Near-copies share one vote: who is grouped, who is framed in vain, and what a crowd gets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from lomar_cli.scoring.auto import copies
from lomar_cli.scoring.geometry import Geometry
from tests.scoring.auto import slow
from tests.scoring.auto.rounds import appended, auto, copies_of, digits
from tests.scoring.plain import from_matrix


def find(geometry):
    return copies.find(geometry, geometry.norms)


def grouped(found):
    return {
        frozenset(np.flatnonzero(found.number == g).tolist()) for g in range(len(found.medoids))
    }


@pytest.mark.parametrize("seed", range(6))
def test_groups_are_complete_linkage_by_slow_loops(seed):
    rng = np.random.default_rng(seed)
    flat = rng.standard_normal((24, 6))
    # Copies at all sorts of small distances, some in chains.
    flat[16:] = flat[rng.integers(0, 4, 8)] + 0.02 * rng.standard_normal((8, 6))
    found = find(Geometry(from_matrix(flat)))
    expected = slow.complete_linkage(flat.tolist(), copies.NEAR)
    assert grouped(found) == expected
    assert 8 < len(expected) < 24
    for group, medoid in enumerate(found.medoids):
        members = np.flatnonzero(found.number == group)
        assert (found.size[members] == len(members)).all()
        sums = [sum(((flat[i] - flat[j]) ** 2).sum() for j in members) for i in members]
        if len(members) == 2:
            sums = [((flat - flat[i]) ** 2).sum() for i in members]
        assert medoid == members[int(np.argmin(sums))]


def test_a_bridge_of_sybils_joins_no_honest_clients():
    rng = np.random.default_rng(0)
    flat = rng.standard_normal((40, 20))
    bridge = flat[0] + np.linspace(0, 1, 90)[1:-1, None] * (flat[1] - flat[0])
    everybody = np.vstack([flat, bridge])
    found = find(Geometry(from_matrix(everybody)))
    assert len(found.medoids) < len(everybody)
    lengths = np.linalg.norm(everybody, axis=1)
    # Single linkage falls for it.
    joined = fcluster(linkage(everybody, "single"), copies.NEAR * lengths.min(), "distance")
    assert joined[0] == joined[1]
    for group in grouped(found):
        rows = sorted(group)
        across = np.linalg.norm(everybody[rows][:, None] - everybody[rows][None], axis=2)
        limit = copies.NEAR * np.minimum.outer(lengths[rows], lengths[rows])
        assert (across <= limit * (1 + 1e-6)).all()
    assert len({found.number[i] for i in range(40)}) == 40


def test_nobody_is_grouped_with_nobody_near_or_all_the_same():
    rng = np.random.default_rng(0)
    found = find(Geometry(from_matrix(rng.standard_normal((20, 30)))))
    assert found.number.tolist() == found.medoids.tolist() == list(range(20))
    same = find(Geometry(from_matrix(np.ones((20, 3)))))
    assert len(same.medoids) == 1 and (same.size == 20).all()
    nothing = find(Geometry(from_matrix(np.zeros((20, 3)))))
    assert len(nothing.medoids) == 20  # No length to measure by.


@pytest.mark.parametrize("scheme", ["0", "0.5", "0.9"])
@pytest.mark.parametrize("share", [0.1, 0.2, 0.3])
@pytest.mark.parametrize("careful", [True, False])
def test_near_copies_do_not_get_their_victims_removed(scheme, share, careful):
    """Two copies each, of clients that hold the label 4 first; attackers are a share of all."""
    lost = []
    for seed in (1, 2):
        updates, _ = digits(scheme, seed)
        many = round(share * 100)
        bias = updates.tensors["fc.bias"][:, 4]
        victims = np.argsort(-bias, kind="stable")[: many // 2]
        framed = appended(
            updates,
            copies_of(updates, np.repeat(victims, 2), seed, careful=careful),
            [f"x{i}" for i in range(2 * len(victims))],
        )
        said = auto(framed)
        lost.append((~said.keep[:100]).mean())
        # One vote a group: a victim and its two copies have a third each, or less.
        number = np.concatenate([np.arange(100), np.repeat(victims, 2)])
        for victim in victims:
            members = number == victim
            kept = members & said.keep
            # Copies of two victims who are near-copies themselves may be one group.
            assert kept[victim] and (said.weight[kept] <= 1 / kept.sum()).all()
            assert said.weight[kept].sum() > 0.3
            assert (said.weight[members & ~said.keep] <= 0.34).all()
        if not careful and scheme != "0":
            # They move what their victims leave alone: at lambda 0 of digits next to nothing.
            assert not said.keep[100:].any()
            assert (said.weight[victims] == 1).all()
            assert "of which the others are removed" in said.reasons[victims[0]]
            assert said.reasons[100].endswith("; one of 3 near-copies")
        assert (said.weight <= 1).all()
    assert np.mean(lost) <= 0.02, lost


@pytest.mark.parametrize("scheme", ["0", "0.5"])
def test_weights_of_a_group_sum_to_one_vote(scheme):
    updates, _ = digits(scheme, 3)
    framed = appended(
        updates, copies_of(updates, np.repeat([5, 9], 3)), [f"x{i}" for i in range(6)]
    )
    said = auto(framed)
    number = np.concatenate([np.arange(100), np.repeat([5, 9], 3)])
    for group in range(100):
        assert said.weight[number == group].sum() == pytest.approx(1)
    assert any("near-copies" in note for note in said.notes)
    assert "share one vote" in said.reasons[5] and "share one vote" not in said.reasons[6]


@pytest.mark.parametrize("many", [2, 3, 7])
@pytest.mark.parametrize("turned", [False, True])
def test_the_one_that_others_copy_ranks_below_them(many, turned):
    updates, _ = digits("0.5", 3)
    framed = appended(
        updates, copies_of(updates, np.repeat([5], many)), [f"x{i}" for i in range(many)]
    )
    place = 5
    if turned:
        framed = framed.rows(np.arange(100 + many)[::-1].copy())
        place = 94 + many
    groups = find(Geometry(framed))
    assert np.flatnonzero(groups.middle).tolist() == [place]
    said = auto(framed)
    assert said.keep[place]
    others = (groups.size > 1) & (np.arange(100 + many) != place)
    assert (said.suspicion[others] > said.suspicion[place]).all()


@pytest.mark.parametrize("jitter", [0.0, 0.02])
def test_of_two_or_of_the_very_same_nobody_is_the_one_that_is_copied(jitter):
    updates, _ = digits("0.5", 3)
    many = 4 if jitter == 0 else 1
    framed = appended(
        updates, copies_of(updates, np.repeat([5], many), jitter=jitter), list("abcd")[:many]
    )
    groups = find(Geometry(framed))
    assert groups.size[5] == many + 1 and not groups.middle.any()


def test_the_very_same_rank_high_where_clients_are_close_by_nature():
    rng = np.random.default_rng(1)
    centres = np.repeat(rng.standard_normal((20, 40)), 3, axis=0)
    flat = centres + 0.01 * rng.standard_normal((60, 40))
    everybody = np.vstack([flat, np.repeat(flat[[7]], 5, axis=0)])
    groups = find(Geometry(from_matrix(everybody)))
    assert (groups.size > 1).mean() > 0.5 and len(groups.medoids) == 20
    assert np.flatnonzero(groups.same).tolist() == [7, 60, 61, 62, 63, 64]
    said = auto(from_matrix(everybody))
    assert said.suspicion[groups.same].min() >= 0.95
    assert np.median(said.suspicion[~groups.same]) < 0.9


def test_without_copies_everybody_has_a_whole_vote():
    said = auto(digits("0", 3)[0])
    assert (said.weight == 1).all()


def test_a_crowd_of_copies_is_removed():
    updates, _ = digits("0.5", 1)
    own = np.repeat([3], 30)
    crowd = appended(updates, copies_of(updates, own), [f"x{i}" for i in range(30)])
    said = auto(crowd)
    assert not said.keep[100:].any()
    assert said.keep[:100].sum() >= 98  # Client 3, whom they copy, goes with them.
    assert "near-copies: more than any honest clients send" in said.reasons[110]


def test_of_a_crowd_its_medoid_alone_is_shown():
    flat = np.random.default_rng(3).standard_normal((20, 30))
    flat[[4, 9, 11, 17]] = flat[2]  # a quarter
    flat[6] = flat[5]  # a pair
    groups = find(Geometry(from_matrix(flat)))
    rows, places = groups.shown()
    crowd = [2, 4, 9, 11, 17]
    (medoid,) = set(rows) & set(crowd)
    assert np.flatnonzero(groups.crowd).tolist() == crowd
    assert rows.tolist() == sorted({*range(20), medoid} - (set(crowd) - {medoid}))
    stands = rows[places]
    assert stands[crowd].tolist() == [medoid] * 5
    others = [i for i in range(20) if i not in crowd]
    assert stands[others].tolist() == others
    # Without the pair these are the medoids, who need no reading of their own.
    alone = find(Geometry(from_matrix(np.delete(flat, 6, axis=0))))
    rows, places = alone.shown()
    assert rows is alone.medoids and places is alone.number


@pytest.mark.parametrize("careful", [True, False])
def test_pairs_in_another_order_are_judged_the_same(careful):
    updates, _ = digits("0.5", 4)
    victims = np.arange(30, 42)
    framed = appended(
        updates, copies_of(updates, victims, careful=careful), [f"x{i}" for i in range(12)]
    )
    order = np.random.default_rng(1).permutation(112)
    said, turned = auto(framed), auto(framed.rows(order))
    assert (find(Geometry(framed)).size == 2).sum() == 24
    np.testing.assert_array_equal(turned.keep, said.keep[order])
    np.testing.assert_allclose(turned.suspicion, said.suspicion[order], atol=1e-4)


def test_when_most_updates_are_copies_nothing_is_compared():
    rng = np.random.default_rng(0)
    five = rng.standard_normal((5, 8))
    flat = np.repeat(five, 6, axis=0) + 1e-4 * rng.standard_normal((30, 8))
    said = auto(from_matrix(flat))
    assert said.keep.all()
    assert "only 5 of 30 updates are different" in said.notes[0]
    np.testing.assert_allclose(said.weight, 1 / 6)


def test_pairs_that_join_no_group_leave_every_client_its_own_number():
    # Zeros are no copies of each other, and are looked at all the same.
    flat = np.zeros((12, 5))
    flat[2] = 1.0
    groups = find(Geometry(from_matrix(flat)))
    np.testing.assert_array_equal(groups.number, np.arange(12))
    np.testing.assert_array_equal(groups.medoids, np.arange(12))
