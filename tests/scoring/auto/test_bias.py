"""The view on biases: what training makes of a bias and its row, and what it does not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lomar_cli.scoring.auto.bias import bias
from lomar_cli.scoring.auto.mix import _Round
from lomar_cli.scoring.auto.unmix import rows, rows_seen
from lomar_cli.scoring.auto.word import read_word
from tests.scoring.auto.rounds import auto, changed, digits, no_output, seen, without_bias
from tests.scoring.rounds import as_updates

SCHEMES = ("0", "0.5", "0.9", "dirichlet0.1", "dirichlet1")


def a_round(noise=0.02, count=2000, labels=4, width=12, seed=0):
    """Samples of every class have 0.5 as their first feature, so twice its column is the bias."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((labels, width))
    means[:, 0] = 0.5
    content = rng.dirichlet(np.full(labels, 0.5), count)[:, :, None] * (np.eye(labels) - 1 / labels)
    weight = np.einsum("nlr,lw->nrw", content, means)
    off = noise * rng.standard_normal((count, labels))
    off -= off.mean(axis=1, keepdims=True)
    return as_updates(weight, content.sum(axis=1) + off), off


def lying(updates, liars, more=1):
    """The round with the biases of the last ``liars`` those of other labels."""
    name = updates.output.bias
    said = np.array(updates.tensors[name])
    said[-liars:] = np.roll(said[-liars:], more, axis=1)
    return changed(updates, **{name: said})


def test_it_measures_how_far_a_bias_is_off():
    """By the direction that is known here, which the regression has to find."""
    updates, off = a_round()
    word = rows(updates).word
    # Less what a factor of its own explains.
    said = 2 * np.array(updates.tensors["fc.weight"])[:, :, 0]
    said -= said.mean(axis=1, keepdims=True)
    off -= ((off * said).sum(axis=1) / (said**2).sum(axis=1))[:, None] * said
    lengths = np.linalg.norm(off, axis=1)
    size = np.linalg.norm(np.array(updates.tensors["fc.weight"]), axis=(1, 2))
    expected = lengths / np.median(lengths) / np.maximum(size / np.median(size), 1)
    np.testing.assert_allclose(word.off, expected, atol=0.15)
    whole = np.array(updates.tensors["fc.bias"])
    whole -= whole.mean(axis=1, keepdims=True)
    share = lengths / np.linalg.norm(whole, axis=1)
    np.testing.assert_allclose(word.share, share, rtol=0.05, atol=0.15 * np.median(share))


def test_long_updates_are_off_by_more():
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((3000, 3, 5))
    said = weights @ np.arange(5.0) + 0.1 * rng.standard_normal((3000, 3))
    everybody = np.ones(3000, bool)
    usual = read_word(weights, said, everybody)
    scale = np.ones((3000, 1))
    scale[7] = 50.0
    long = read_word(weights * scale[:, :, None], said * scale, everybody)
    assert usual.off[7] > 0.2
    np.testing.assert_allclose(long.off, usual.off, atol=0.3)
    nearly = {"rtol": 0.02, "atol": 0.2 * float(np.median(usual.share))}
    np.testing.assert_allclose(long.share, usual.share, **nearly)


@pytest.mark.parametrize(("scheme", "seed"), list(itertools.product(SCHEMES, (1, 2))))
def test_biases_that_were_trained_are_believed(scheme, seed):
    for more in ({}, {"flips": ((1, 7), (4, 9)), "attackers": 30}):
        updates, _ = digits(scheme, seed, **more)
        sight = bias(seen(updates))
        assert not sight.found and sight.suspicion.max() < 0.5


@pytest.mark.parametrize(("scheme", "liars"), list(itertools.product(SCHEMES[1:], (1, 10, 30))))
def test_who_sends_the_bias_of_other_labels_is_found(scheme, liars):
    updates = lying(digits(scheme, 1)[0], liars)
    sight = bias(seen(updates))
    assert set(np.flatnonzero(sight.suspicion > 1)) == set(range(100 - liars, 100))
    assert "off what its own weights say" in sight.words[99]
    said = auto(updates)
    assert not said.keep[-liars:].any() and said.keep[:-liars].all()
    assert "bias " in said.reasons[99]


def test_brighter_samples_are_no_lie():
    """All that enters the layer is larger at some clients, and a constant larger."""
    updates = digits("0.5", 1)[0]
    weight, said = (updates.tensors[n] for n in (updates.output.weight, updates.output.bias))
    brighter = np.array(weight)
    brighter[:20] = 1.5 * weight[:20] + 0.3 * said[:20, :, None]
    sight = bias(seen(changed(updates, **{updates.output.weight: brighter})))
    assert not sight.found and sight.suspicion.max() < 0.5


def test_what_has_no_effect_is_no_lie():
    """A softmax does not see what is added to the biases of all labels; gradients point back."""
    updates = digits("0.5", 1)[0]
    usual = bias(seen(updates)).suspicion
    said = updates.tensors[updates.output.bias]
    added = said + np.linspace(-1, 1, 100, dtype=said.dtype)[:, None]
    for one in (
        changed(updates, **{updates.output.bias: added}),
        changed(updates, **{name: -t for name, t in updates.tensors.items()}),
    ):
        np.testing.assert_allclose(bias(seen(one)).suspicion, usual, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("scheme", "sent"), list(itertools.product(("0.5", "dirichlet0.1"), (0, 1, 5)))
)
def test_where_most_freeze_the_bias_nobody_is_judged_by_it(scheme, sent):
    updates = digits(scheme, 1)[0]
    said = np.array(updates.tensors[updates.output.bias])
    said[: 100 - sent] = 0
    sight = bias(seen(changed(updates, **{updates.output.bias: said})))
    assert np.isnan(sight.suspicion).all() and sight.notes


def test_many_pairs_with_evidence_are_too_many_even_where_lies_would_show(monkeypatch):
    """As of 50 labels that two clients each hold; of several pairs at once they are fewer."""
    updates, _ = digits("0.5", 1, flips=((1, 7), (4, 9), (5, 3)), attackers=30, samples=100)
    view = seen(updates)
    found = rows_seen(view, view.trusted)
    assert found.word.tells
    for many, believed in ((5, True), (90, True), (101, False)):
        one = _Round(found, view)
        evidence = np.zeros((10, 10)) if many <= 90 else np.zeros((50, 50))
        evidence.reshape(-1)[:many] = -1.5
        monkeypatch.setattr(one, "_evidence", lambda *_, evidence=evidence: evidence.copy())
        monkeypatch.setattr(one, "_all_evidence", lambda *_: np.zeros((10, 10)))
        one._search()
        assert one.believed == believed


@pytest.mark.parametrize("case", ["no output layer", "no bias", "too few", "parts"])
def test_what_it_cannot_judge(case):
    updates = digits("0.5", 1)[0]
    if case == "no output layer":
        updates = no_output(updates)
    elif case == "no bias":
        updates = without_bias(updates)
    elif case == "too few":
        updates = updates.rows(np.arange(17))
    else:
        kept = np.random.default_rng(0).random((100, 10, 65)) < 0.4
        weight, name = updates.output.weight, updates.output.bias
        updates = changed(
            updates,
            **{
                weight: updates.tensors[weight] * kept[:, :, :-1],
                name: updates.tensors[name] * kept[:, :, -1],
            },
        )
    sight = bias(seen(updates))
    assert np.isnan(sight.suspicion).all() and not sight.found and sight.notes
