"""What clients say they hold: without a bias, and where a round holds gradients."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.scoring.auto.claims import _backwards, claims
from lomar_cli.scoring.auto.unmix import rows
from tests.scoring.auto.rounds import auto, changed, digits, without_bias

ATTACKED = {"flips": ((1, 7),), "attackers": 30, "samples": 100}


def negated(updates):
    return changed(updates, **{name: -tensor for name, tensor in updates.tensors.items()})


@pytest.mark.parametrize("scheme", ["0", "0.5", "0.9", "dirichlet1"])
@pytest.mark.parametrize("attack", [{}, ATTACKED])
def test_without_a_bias_rows_say_as_much(scheme, attack):
    updates, _ = digits(scheme, 1, **attack)
    bias, found = updates.tensors["fc.bias"], rows(without_bias(updates)).claims
    for label in range(10):
        assert np.corrcoef(bias[:, label], found[:, label])[0, 1] > 0.95


@pytest.mark.parametrize("scheme", ["0", "0.5", "0.9", "dirichlet1"])
@pytest.mark.parametrize("attack", [{}, ATTACKED])
def test_gradients_are_read_the_other_way_round(scheme, attack):
    updates, _ = digits(scheme, 1, **attack)
    expected, found = auto(updates), auto(negated(updates))
    assert not any("gradients" in note for note in expected.notes)
    assert any("gradients" in note and "--gradients" in note for note in found.notes)
    np.testing.assert_array_equal(found.keep, expected.keep)
    np.testing.assert_allclose(found.suspicion, expected.suspicion, rtol=1e-6)


def test_attackers_do_not_turn_the_others_round():
    """A quarter of the clients, as loud as they are let, whose bias speaks against their rows."""
    updates, _ = digits("0.5", 1)
    bad = np.arange(len(updates.clients)) % 4 == 0
    weight, bias = (updates.tensors[name].copy() for name in ("fc.weight", "fc.bias"))
    weight[bad] *= -3
    bias[bad] *= 3
    found = rows(changed(updates, **{"fc.weight": weight, "fc.bias": bias}))
    assert not found.notes


def test_one_loud_client_does_not_turn_claims_without_a_bias_round():
    """Its length in one row, the others' sum of cubes is little beside it."""
    updates, _ = digits("0", 1, **ATTACKED)
    plain = without_bias(updates)
    weight = plain.tensors["fc.weight"].copy()
    moved = weight[:, 0] - np.median(weight[:, 0], axis=0)
    along = np.linalg.svd(moved, full_matrices=False)[2][0]
    along *= np.sign((weight[:, 0] @ along).sum())
    length = np.median(np.linalg.norm(weight.reshape(len(weight), -1), axis=1))
    weight[0] *= 0.02
    weight[0, 0] = -3.1 * length * along
    found = rows(changed(plain, **{"fc.weight": weight})).claims[1:]
    bias = updates.tensors["fc.bias"][1:]
    for label in range(1, 10):
        assert np.corrcoef(bias[:, label], found[:, label])[0, 1] > 0.9


def test_loud_liars_do_not_decide_where_the_others_biases_rise():
    """A sixth of the clients, three times as long, whose every bias speaks against its row."""
    updates, _ = digits("0", 1)
    bad = np.arange(len(updates.clients)) % 6 == 0
    weight, bias = (updates.tensors[name].copy() for name in ("fc.weight", "fc.bias"))
    middle = np.median(weight, axis=0)
    weight[bad] = middle + 3 * (weight[bad] - middle)
    bias[bad] *= -30
    assert not rows(changed(updates, **{"fc.weight": weight, "fc.bias": bias})).notes


def test_who_is_not_trusted_has_no_vote():
    updates, _ = digits("0.5", 1)
    bad = np.arange(len(updates.clients)) % 2 == 0
    turned = {name: tensor.copy() for name, tensor in updates.tensors.items()}
    for tensor in turned.values():
        tensor[bad] *= -1
    assert not rows(changed(updates, **turned), ~bad).notes
    assert rows(changed(updates, **turned), bad).notes


def test_rows_of_nothing_are_no_gradients():
    assert not _backwards(np.zeros((20, 10)))
    # Of two labels the rows are each other's negatives.
    one = np.random.default_rng(2).normal(size=(20, 1))
    assert not _backwards(np.hstack([one, -one]))


def rows_of(means, uneven, clients=100, labels=10, seed=0):
    """Rows' parts with means on one side, and a few large amounts to one side."""
    rng = np.random.default_rng(seed)
    along = means + 0.1 * rng.normal(size=(clients, labels))
    along[np.arange(clients), rng.integers(labels, size=clients)] += uneven
    return along


@pytest.mark.parametrize(
    ("means", "uneven", "expected"),
    [(1, 0, False), (-1, 0, True), (-1, -3, True), (-1, 1, False), (1, 3, False), (1, -3, False)],
)
def test_both_signs_of_gradients_have_to_allow_it(means, uneven, expected):
    assert _backwards(rows_of(means, uneven)) is expected


def test_noise_is_no_gradient():
    found = [_backwards(np.random.default_rng(seed).normal(size=(40, 10))) for seed in range(200)]
    assert np.mean(found) < 0.02


def test_one_trusted_client_is_enough_to_be_read():
    parts = np.random.default_rng(1).normal(size=(5, 3, 3))
    for trusted in (np.zeros(5, bool), np.arange(5) == 2):
        for bias in (None, parts[:, :, 0]):
            assert np.isfinite(claims(parts, bias, trusted).amounts).all()
