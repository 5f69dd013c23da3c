"""Zeno against its definition in plain loops, with a loss that is written out too."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lomar_cli.aggregation.registry import RULES
from lomar_cli.errors import UsageError
from lomar_cli.scoring.zeno import Zeno
from tests.scoring.plain import from_matrix, view_of
from tests.scoring.rounds import random_round


def softmax_loss(weight, bias, samples, labels):
    """Mean cross-entropy of softmax regression, number by number."""
    total = 0.0
    for x, y in zip(samples, labels, strict=True):
        scores = [sum(w * v for w, v in zip(row, x, strict=True)) for row in weight]
        scores = [score + b for score, b in zip(scores, bias, strict=True)]
        top = max(scores)
        total += top + math.log(sum(math.exp(s - top) for s in scores)) - scores[y]
    return total / len(labels)


def held_out(seed=0, labels=3, width=4, count=7):
    """A start model, held-out samples, and the loss of the model plus a step as a callable."""
    rng = np.random.default_rng(seed)
    weight, bias = rng.standard_normal((labels, width)), rng.standard_normal(labels)
    samples, truth = rng.standard_normal((count, width)), rng.integers(0, labels, count)

    def loss(step):
        return softmax_loss(
            (weight + step.get("fc.weight", 0)).tolist(),
            (bias + step.get("fc.bias", 0)).tolist(),
            samples.tolist(),
            truth.tolist(),
        )

    return loss


def expected_scores(updates, loss, gamma, rho):
    before = loss({})
    scores = []
    for row in range(len(updates.clients)):
        step = {name: gamma * np.asarray(t[row]) for name, t in updates.tensors.items()}
        square = sum(float(v) ** 2 for t in updates.tensors.values() for v in t[row].ravel())
        scores.append(before - loss(step) - rho * square)
    return scores


@pytest.mark.parametrize(("gamma", "rho"), [(1.0, 0.0005), (0.3, 0.1)])
def test_the_score_is_the_descent_less_the_price_of_the_length(gamma, rho):
    updates, loss = random_round(0, 10, 3, 4), held_out()
    judged = Zeno("3", gamma=gamma, rho=rho)(view_of(updates, loss=loss))
    expected = expected_scores(updates, loss, gamma, rho)
    assert judged.suspicion.tolist() == pytest.approx([-score for score in expected])
    assert set(np.flatnonzero(~judged.keep)) == set(np.argsort(expected)[:3])
    assert "as told" in judged.notes[0]


def test_the_rule_averages_all_but_the_lowest():
    updates, loss = random_round(1, 9, 3, 4), held_out(1)
    rule = RULES.make("zeno", {"assume_malicious": "2", "rho": 0.02})
    done = rule(view_of(updates, loss=loss), np.arange(1.0, 10))
    kept = np.sort(np.argsort(expected_scores(updates, loss, 1.0, 0.02))[2:])
    assert np.flatnonzero(done.used).tolist() == kept.tolist()
    for name, tensor in updates.tensors.items():
        assert done.update[name] == pytest.approx(tensor[kept].mean(axis=0))
    assert "counts every client once" in done.notes[0]


def test_a_step_that_overflows_is_the_worst():
    updates = from_matrix([[1.0], [2.0], [1e8]])

    def loss(step):
        moved = float(np.sum(step.get("w", 0)))
        return math.exp(moved) if moved < 700 else math.inf

    judged = Zeno("1")(view_of(updates, loss=loss))
    assert np.isfinite(judged.suspicion).all()
    assert judged.keep.tolist() == [True, True, False]


def test_all_may_be_assumed_malicious():
    updates, loss = random_round(2, 4, 3, 4), held_out(2)
    assert Zeno("100%")(view_of(updates, loss=loss)).keep.sum() == 1


def test_what_is_needed_is_said():
    updates = from_matrix(np.eye(3))
    with pytest.raises(UsageError, match="--method zeno: needs data of your own: --holdout SPLIT"):
        Zeno()(view_of(updates))
    with pytest.raises(UsageError, match="--rule zeno: needs data of your own"):
        RULES.make("zeno", {})(view_of(updates), np.ones(3))


@pytest.mark.parametrize("options", [{"gamma": 0.0}, {"gamma": math.inf}, {"rho": -1.0}])
def test_bad_options(options):
    with pytest.raises(UsageError, match="--set"):
        Zeno(**options)
