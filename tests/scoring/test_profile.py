"""How a client lies among the others, against loops over clients and pairs."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.profile import FEW, against_median, profile, robust_z
from tests.scoring.rounds import as_updates, random_round


def of(updates, **more):
    return profile(RoundView(updates, Geometry(updates, **more)))


def flat(updates):
    return [
        np.concatenate([np.ravel(t[i]) for t in updates.tensors.values()])
        for i in range(len(updates.clients))
    ]


def z(values):
    middle = statistics.median(values)
    mad = statistics.median(abs(v - middle) for v in values)
    return [(v - middle) / (1.4826 * mad) for v in values]


def slow(updates, k, block=None):
    """Robust z of the log mean distance to the k nearest by whole update, within a block."""
    whole = flat(updates)
    seen = whole if block is None else list(updates.label_block(block))
    logs = []
    for i, own in enumerate(whole):
        others = [j for j in range(len(whole)) if j != i]
        others.sort(key=lambda j: math.dist(own, whole[j]))
        logs.append(math.log(statistics.fmean(math.dist(seen[i], seen[j]) for j in others[:k])))
    return z(logs)


@pytest.mark.parametrize("rest", [0, 7])
def test_the_profile_is_what_loops_find(rest):
    updates = random_round(3, 17, 4, 6, rest=rest)
    found = of(updates)
    np.testing.assert_allclose(found.near, slow(updates, FEW), atol=1e-7)
    np.testing.assert_allclose(found.far, slow(updates, 8), atol=1e-7)
    for label in range(4):
        np.testing.assert_allclose(
            found.near_by_label[:, label], slow(updates, FEW, label), atol=1e-7
        )
        np.testing.assert_allclose(found.far_by_label[:, label], slow(updates, 8, label), atol=1e-7)


def test_the_order_of_clients_and_the_scale_change_nothing():
    updates = random_round(5, 20, 3, 5)
    order = np.random.default_rng(0).permutation(20)
    bigger = as_updates(*(1e3 * updates.tensors[name] for name in ("fc.weight", "fc.bias")))
    found, moved, scaled = of(updates), of(updates.rows(order)), of(bigger)
    for name in ("near", "far", "near_by_label", "far_by_label", "cosines"):
        np.testing.assert_allclose(getattr(moved, name), getattr(found, name)[order], atol=1e-6)
        np.testing.assert_allclose(getattr(scaled, name), getattr(found, name), atol=1e-6)
    np.testing.assert_allclose(scaled.lengths, 1e3 * found.lengths)


def test_copies_lie_tighter_and_the_label_that_is_off_thinner():
    updates = random_round(7, 30, 4, 10)
    weight = updates.tensors["fc.weight"]
    weight[1:5] = weight[0] + 1e-3 * weight[1:5]
    updates.tensors["fc.bias"][1:5] = updates.tensors["fc.bias"][0]
    weight[9, 2] *= 4
    found = of(updates)
    assert (found.near[:5] < -10).all()
    assert found.far_by_label[9].argmax() == 2
    assert found.far_by_label[9, 2] > 4
    assert np.abs(np.delete(found.far_by_label[9], 2)).max() < 3


def test_the_median_update_and_cosines_by_hand():
    weight = np.array([[[3.0, 0]], [[1, 0]], [[0, 4]]])
    # The median is (1, 0).
    lengths, cosines, layers = against_median(as_updates(weight))
    np.testing.assert_allclose(lengths, [3, 1, 4])
    np.testing.assert_allclose(cosines, [1, 1, 0])
    np.testing.assert_allclose(layers, [[3], [1], [4]])
    for numbers in against_median(as_updates(np.zeros((3, 1, 2)))):
        assert not numbers.any()
    both = against_median(as_updates(weight, rest=np.array([[4.0], [0], [3]])))
    np.testing.assert_allclose(both[0], [5, 1, 5])
    np.testing.assert_allclose(both[2], [[4, 3], [0, 1], [3, 4]])


def test_robust_z_where_most_are_equal():
    assert robust_z(np.full(5, 2.0)).tolist() == [0] * 5
    # The mean absolute deviation of 0, 0, 0, 0, 5 is 1.
    np.testing.assert_allclose(robust_z(np.array([0.0, 0, 0, 0, 5]))[-1], 5 / 1.2533)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_clients_have_a_profile(count):
    found = of(random_round(1, count, 3, 4))
    assert all(np.isfinite(found.near_by_label).ravel())
    assert found.far.shape == (count,)


def test_identical_clients_have_a_profile():
    found = of(as_updates(np.ones((6, 3, 4))))
    assert found.near.tolist() == found.far.tolist() == [0] * 6
    assert found.unit == 0


def test_threads_and_memory_change_nothing():
    updates = random_round(2, 15, 4, 6, rest=5)
    first, second = of(updates), of(updates, jobs=3, memory=1)
    np.testing.assert_allclose(first.near_by_label, second.near_by_label)
    np.testing.assert_allclose(first.far, second.far)
