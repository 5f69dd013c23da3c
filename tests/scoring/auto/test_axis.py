"""The view on the direction in which updates differ most, against slow looks at the numbers."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.scoring.auto import axis
from lomar_cli.scoring.auto.products import Products
from lomar_cli.scoring.judge import judge
from lomar_cli.scoring.lomar_auto import LomarAuto
from tests.scoring.auto.rounds import changed, digits, flat, no_output, seen
from tests.scoring.rounds import as_updates

OTHERS = "near,far,mean,direction,projection,signs,quiet,rest,mix"


def slow_cut(along):
    """Every crowd at either end, from the definitions."""
    count = len(along)
    best = (-1.0, None)
    for side in (1, -1):
        order = np.argsort(-side * along)
        for many in range(max(5, int(np.ceil(0.05 * count))), int(0.45 * count) + 1):
            crowd, others = along[order[:many]], along[order[many:]]
            within = many * crowd.var() + (count - many) * others.var()
            spread = np.sqrt(within / count)
            apart = side * (crowd.mean() - others.mean()) / spread
            gap = side * ((crowd * side).min() * side - (others * side).max() * side) / spread
            worth = min(apart / 3.5, gap / 1.25) / (1 + 10 / count)
            if worth > best[0]:
                best = (worth, set(order[:many].tolist()))
    return best


@pytest.mark.parametrize("many", [0, 5, 9, 20, 40])
@pytest.mark.parametrize("side", [1, -1])
def test_the_clearest_crowd(many, side):
    rng = np.random.default_rng(many)
    along = rng.normal(size=100) + 7
    along[:many] += 6 * side
    found = axis.cut(along, 0.01)
    worth, crowd = slow_cut(along)
    assert found.worth == pytest.approx(worth, rel=1e-9)
    beyond = found.side * (along - found.at) > 0
    assert set(np.flatnonzero(beyond)) == crowd and found.many == len(crowd)
    assert (found.worth > 1) == (many > 0)
    if many:
        assert crowd == set(range(many))
        # 1 in the gap, 2 on average in the crowd, and 0 among the others.
        suspicion = found.suspicion(along)
        assert (suspicion[:many] > 1).all() and (suspicion[many:] < 1).all()
        assert suspicion[:many].mean() == pytest.approx(2, rel=0.02)
        assert np.median(suspicion[many:]) < 0.15


def test_fewer_than_five_and_a_majority_are_no_crowd():
    rng = np.random.default_rng(0)
    for many in (1, 4, 50):
        along = rng.normal(size=100)
        along[:many] += 8
        found = axis.cut(along, 0.01)
        # Nor are they part of a larger one.
        assert found.worth < 1
    assert axis.cut(np.arange(10.0), 0.01) is None


def test_a_smaller_false_alarm_asks_for_more():
    along = np.random.default_rng(0).normal(size=100)
    along[:10] += 5.5
    worth = [axis.cut(along, alarm).worth for alarm in (0.05, 0.01, 0.001)]
    assert worth == sorted(worth, reverse=True) and worth[0] > worth[2]


def test_noise_has_no_gap():
    rng = np.random.default_rng(1)
    worth = []
    for count in (40, 100, 300):
        for _ in range(60):
            squares = as_updates(rng.standard_normal((count, 5, 30)))
            products = Products(seen(squares).geometry.squares, np.ones(count, bool))
            for along in products.leading(np.ones(count, bool), 3).T:
                worth.append(axis.cut(along, 0.01).worth)
    assert max(worth) < 0.95
    assert np.quantile(worth, 0.99) < 0.7


@pytest.mark.parametrize("out", [0, 12])
def test_the_axes_are_principal_components_of_the_trusted(out):
    updates, _ = digits("0.5", 1, flips=((1, 7),), attackers=20)
    looked = seen(updates)
    trusted = np.ones(120, bool)
    trusted[:out] = False
    axes = Products(looked.geometry.squares, trusted).leading(trusted, 3)
    values = flat(updates)
    own = values[trusted] - values[trusted].mean(axis=0)
    _, sizes, right = np.linalg.svd(own, full_matrices=False)
    expected = (values - values[trusted].mean(axis=0)) @ right[:3].T
    for along in axes.T:
        # In whatever order, and turned either way.
        apart = [min(np.abs(along - e).max(), np.abs(along + e).max()) for e in expected.T]
        assert min(apart) < 1e-2 * sizes[0] / np.sqrt(len(own))
    same = Products(np.zeros((40, 40)), np.ones(40, bool)).leading(np.ones(40, bool), 3)
    assert same.shape == (40, 0)


def masked(updates, share, seed=0):
    """The same without a part of the parameters, the same ones for everybody."""
    rng = np.random.default_rng(seed)
    tensors = updates.tensors.items()
    return changed(updates, **{n: t * (rng.random(t.shape[1:]) < share) for n, t in tensors})


def test_flippers_whom_no_other_view_sees():
    """Half of the parameters are missing, so that labels cannot be compared."""
    found = []
    for seed in range(1, 7):
        updates, bad = digits("0", seed, flips=((1, 7),), attackers=25, samples=100)
        part = masked(updates, 0.5, seed)
        without = judge(part, LomarAuto(views=OTHERS))
        assert (~without.keep)[bad].mean() < 0.1
        judged = judge(part, LomarAuto())
        assert judged.keep[~bad].all()
        found.append(float((~judged.keep)[bad].mean()))
        if found[-1]:
            told = judged.reasons[int(np.flatnonzero(bad)[0])]
            assert "clients apart from the others in what updates differ in most" in told
    # All of them or nobody: in one round the gap is too small.
    assert sorted(found) == [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("scheme", ["0", "0.1", "0.2", "0.3", "dirichlet1", "dirichlet10"])
@pytest.mark.parametrize("seed", [1, 3])
def test_honest_clients_are_no_crowd(scheme, seed):
    for samples in (60, 120):
        sight = axis.axis(seen(digits(scheme, seed, samples=samples)[0]))
        assert not sight.found and not (sight.suspicion > 1).any()


@pytest.mark.parametrize("scheme", ["0.3", "0.5", "0.9", "dirichlet0.1"])
def test_where_labels_are_uneven_nothing_is_said(scheme):
    updates, _ = digits(scheme, 1, flips=((1, 7),), attackers=25)
    for one in (updates, masked(updates, 0.5)):
        sight = axis.axis(seen(one))
        assert np.isnan(sight.suspicion).all() and not sight.found and not sight.notes


def test_a_third_of_liars_does_not_make_labels_look_even():
    updates, _ = digits("0.5", 1)
    looked = seen(updates)
    rows = axis.rows_seen(looked, np.ones(100, bool))
    lied = rows.claims.copy()
    lied[:33] = 1.0
    everybody = np.ones(100, bool)
    assert axis.unevenness(lied, everybody) > 0.3
    assert axis.unevenness(np.ones((9, 4)), np.ones(9, bool)) == pytest.approx(0)
    assert axis.unevenness(np.eye(4), np.ones(4, bool)) == pytest.approx(1)


def test_several_crowds_are_found_in_turn():
    rng = np.random.default_rng(3)
    updates, _ = digits("0", 2, samples=100)
    weight = updates.output.weight
    values = np.array(updates.tensors[weight])
    size = float(np.median(np.linalg.norm(flat(updates) - flat(updates).mean(axis=0), axis=1)))
    for crowd in (slice(0, 15), slice(15, 25)):
        course = rng.standard_normal(values.shape[1:]).astype(np.float32)
        values[crowd] += 1.5 * size * course / np.linalg.norm(course)
    sight = axis.axis(seen(changed(updates, **{weight: values})))
    assert sight.found
    assert set(np.flatnonzero(sight.suspicion > 1)) == set(range(25))
    assert {sight.words[0], sight.words[20]} == {
        "one of 15 clients apart from the others in what updates differ in most",
        "one of 10 clients apart from the others in what updates differ in most",
    }


def test_what_cannot_be_judged():
    for one in (no_output(digits("0", 1)[0]), digits("0", 1, honest=20)[0]):
        sight = axis.axis(seen(one))
        assert np.isnan(sight.suspicion).all() and not sight.notes
