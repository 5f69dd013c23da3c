"""The view on what labels leave unexplained, against least squares on the updates themselves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lomar_cli.scoring.auto import rest
from lomar_cli.scoring.auto.products import Products
from lomar_cli.scoring.auto.unmix import rows
from tests.scoring.auto.rounds import changed, digits, flat, no_output, seen, without_bias
from tests.scoring.rounds import as_updates

COUNT, LABELS, WIDTH = 60, 4, 40


def a_round(seed, attackers=12, noise=0.05):
    """Rows are made of the labels' means by each client's shares; the last clients hold a
    pattern besides, that no label has."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((LABELS, WIDTH))
    shares = rng.dirichlet(np.full(LABELS, 0.5), COUNT)
    content = shares[:, :, None] * (np.eye(LABELS) - 1 / LABELS)
    weight = np.einsum("nlr,lw->nrw", content, means)
    weight += noise * rng.standard_normal(weight.shape)
    if attackers:
        weight[-attackers:, 0] += 4 * noise * rng.standard_normal(WIDTH)
    return as_updates(weight, content.sum(axis=1))


def slow_residuals(updates, core):
    """A least squares fit for every parameter; lengths with leverage, client by client."""
    values, claims = flat(updates), rows(updates).claims
    mixes = np.column_stack([np.ones(len(claims)), claims])
    fitted, *_ = np.linalg.lstsq(mixes[core], values[core], rcond=rest._ROUNDING)
    inverse = np.linalg.pinv(mixes[core].T @ mixes[core], rcond=rest._ROUNDING**2)
    found = []
    for mix, value, own in zip(mixes, values, core, strict=True):
        left = float(((value - mix @ fitted) ** 2).sum())
        leverage = float(mix @ inverse @ mix)
        found.append(left / (max(1 - leverage, 0.05) if own else 1 + leverage))
    return np.array(found)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_least_squares_on_the_updates(seed):
    updates = a_round(seed)
    core = np.zeros(COUNT, bool)
    core[np.random.default_rng(seed).choice(COUNT, 36, replace=False)] = True
    looked = seen(updates)
    claims = rows(updates).claims
    mixes = np.concatenate([np.ones((COUNT, 1)), claims], axis=1)
    products = Products(looked.geometry.squares, looked.trusted)
    found = rest._residuals(products, mixes, core)
    np.testing.assert_allclose(found, slow_residuals(updates, core), rtol=1e-4)


def test_the_core_is_one_that_stays():
    """Concentration ends at a core whose members its own fit explains best."""
    updates = a_round(1)
    squares = rest._left(seen(updates))
    core = np.zeros(COUNT, bool)
    core[np.argsort(squares)[: int(np.ceil(rest._CORE * COUNT))]] = True
    again = slow_residuals(updates, core)
    assert set(np.argsort(again)[: core.sum()]) == set(np.flatnonzero(core))
    np.testing.assert_allclose(squares, again, rtol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_who_holds_what_no_label_holds_is_found(seed):
    sight = rest.rest(seen(a_round(seed)))
    assert set(np.flatnonzero(sight.suspicion > 1)) == set(range(48, 60))
    assert "times as much unexplained as usual" in sight.words[50]


@pytest.mark.parametrize("seed", range(5))
def test_unlike_labels_alone_are_nothing(seed):
    assert not rest.rest(seen(a_round(seed, attackers=0))).found


def test_who_lies_about_its_labels_is_found():
    updates = a_round(3, attackers=0)
    bias = np.array(updates.tensors["fc.bias"])
    bias[-8:] = np.roll(bias[-8:], 1, axis=1)
    sight = rest.rest(seen(changed(updates, **{"fc.bias": bias})))
    assert set(np.flatnonzero(sight.suspicion > 1)) == set(range(52, 60))


@pytest.mark.parametrize(
    ("scheme", "seed"), list(itertools.product(["0", "0.5", "0.9", "dirichlet0.1"], (1, 2)))
)
def test_clean_rounds_keep_everybody(scheme, seed):
    updates, _ = digits(scheme, seed)
    for one in (updates, without_bias(updates)):
        assert not rest.rest(seen(one)).found


def test_one_client_cannot_choose_the_core():
    """However far one goes, what is said of the others stays."""
    updates = a_round(4)
    usual = rest.rest(seen(updates)).suspicion
    for scale in (1e2, 1e5):
        weight = np.array(updates.tensors["fc.weight"])
        weight[0] *= scale
        looked = rest.rest(seen(changed(updates, **{"fc.weight": weight})))
        assert looked.suspicion[0] > 1
        assert set(np.flatnonzero(looked.suspicion[1:] > 1)) == set(np.flatnonzero(usual[1:] > 1))


def test_who_is_not_trusted_is_judged_but_not_learnt_from():
    updates = a_round(5)
    trusted = np.ones(COUNT, bool)
    trusted[48:] = False
    sight = rest.rest(seen(updates, trusted=trusted))
    assert set(np.flatnonzero(sight.suspicion > 1)) == set(range(48, 60))


@pytest.mark.parametrize("case", ["no output layer", "too few"])
def test_what_it_cannot_judge(case):
    updates = a_round(0)
    updates = no_output(updates) if case == "no output layer" else updates.rows(np.arange(17))
    sight = rest.rest(seen(updates))
    assert np.isnan(sight.suspicion).all() and not sight.found and sight.notes
