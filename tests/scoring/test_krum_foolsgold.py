"""Krum, FoolsGold, and both in turn, as scores."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.errors import UsageError
from lomar_cli.scoring.foolsgold import foolsgold_weights, pardoned
from lomar_cli.scoring.registry import METHODS
from tests.aggregation import oracle
from tests.aggregation.rounds import as_view, matrix

ALL = ("krum", "foolsgold", "foolsgold-krum", "krum-foolsgold")


def judge(name, rows, clients=None, history=(), **options):
    return METHODS.make(name, options)(as_view(rows, clients, history=history))


def sybils(count=20, copies=4, seed=0, width=30):
    """Random updates of which the last ``copies`` nearly agree."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, width))
    rows[count - copies :] = rows[-1] + 0.05 * rng.standard_normal((copies, width))
    return rows


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("told", [None, "3", "10%"])
def test_krum(seed, told):
    rows = matrix(20, 7, 3, seed)
    f = {None: 4, "3": 3, "10%": 2}[told]
    judged = judge("krum", rows, assume_malicious=told)
    expected = oracle.krum_scores(rows.tolist(), 20 - f - 2)
    np.testing.assert_allclose(judged.suspicion, expected, rtol=1e-9)
    flagged = set(np.argsort(expected)[20 - f :].tolist())
    assert set(np.flatnonzero(~judged.keep).tolist()) == flagged
    assert f"the {f} highest scores of 20" in judged.notes[0]
    assert ("as told" if told else "a fifth") in judged.notes[0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("confidence", [1.0, 0.25, 0.1])
def test_foolsgold(seed, confidence):
    rows = sybils(seed=seed)
    judged = judge("foolsgold", rows, confidence=confidence)
    weights = np.array(oracle.foolsgold(rows.tolist(), confidence))
    np.testing.assert_allclose(judged.columns["foolsgold_weight"], weights, atol=1e-9)
    np.testing.assert_allclose(judged.suspicion, 1 - weights, atol=1e-9)
    assert not judged.keep[-4:].any()
    assert "moves in the direction of 'c1" in judged.reasons[-1]


def test_foolsgold_by_hand():
    """Two that agree at 60 degrees, and one at right angles to both.

    v = 1/2, 1/2, 0, so a = 1/2, 1/2, 1; ln(0.5 / 0.5) + 0.5 = 0.5, and the last one's is above 1.
    """
    rows = np.array([[1, 0, 0], [0.5, np.sqrt(0.75), 0], [0, 0, 1.0]])
    similarity = pardoned(rows @ rows.T)
    np.testing.assert_allclose(foolsgold_weights(similarity), [0.5, 0.5, 1])
    np.testing.assert_allclose(foolsgold_weights(similarity, confidence=0.5), [0.25, 0.25, 1])
    np.testing.assert_allclose(foolsgold_weights(similarity, centre=0.0), [0, 0, 1])


def test_foolsgold_pardons():
    """An honest client that half resembles a pair of sybils keeps more weight than they do."""
    rows = np.array([[1, 0, 0], [1, 0.02, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
    weights = judge("foolsgold", rows).columns["foolsgold_weight"]
    assert weights[0] == weights[1] == 0
    assert weights[2] > 0.5 and weights[3] == 1


def test_foolsgold_does_not_look_at_lengths():
    rows = sybils()
    scaled = rows * np.random.default_rng(1).uniform(0.1, 10, (20, 1))
    expected = judge("foolsgold", rows).suspicion
    np.testing.assert_allclose(judge("foolsgold", scaled).suspicion, expected, atol=1e-9)


def test_foolsgold_when_all_agree_and_when_nobody_moves():
    same = judge("foolsgold", np.ones((6, 5), np.float32) * 0.1)
    assert same.suspicion.tolist() == [1] * 6
    assert judge("foolsgold", np.zeros((6, 5))).suspicion.tolist() == [0] * 6
    assert judge("foolsgold", np.ones((1, 5))).keep.tolist() == [True]


def test_foolsgold_of_the_output_layer():
    rows = sybils(width=31)
    layer = rows[:, :30]
    judged = judge("foolsgold", rows, output_only=True)
    expected = oracle.foolsgold(layer.tolist())
    np.testing.assert_allclose(judged.columns["foolsgold_weight"], expected, atol=1e-9)
    with pytest.raises(UsageError, match="names no output layer"):
        judge("foolsgold", rows[:, :2], output_only=True)


def test_foolsgold_with_memory_sums_by_client():
    """Clients are matched by name; one that missed a round adds nothing for it."""
    rounds = [sybils(6, 2, seed) for seed in range(3)]
    names = [[f"c{i}" for i in range(6)], ["c5", "c4", "c3", "c2", "x", "c0"], list("abcdef")]
    names[2] = ["c3", "c1", "c0", "c2", "c5", "c4"]
    sums = {}
    for clients, rows in zip(names, rounds, strict=True):
        for client, row in zip(clients, rows, strict=True):
            sums[client] = sums.get(client, 0) + row
    history = [as_view(rows, clients).updates for clients, rows in zip(names, rounds, strict=True)]
    judged = judge("foolsgold", rounds[2], names[2], history[:2], memory=True)
    expected = oracle.foolsgold([sums[client].tolist() for client in names[2]])
    np.testing.assert_allclose(judged.columns["foolsgold_weight"], expected, atol=1e-9)
    assert list(judged.notes) == []


def test_foolsgold_with_memory_leaves_out_broken_history():
    old, new = sybils(8, 2, 0), sybils(8, 2, 1)
    broken = old.copy()
    broken[2, 3] = np.nan
    absent = [as_view(np.delete(old, 2, axis=0), [f"c{i}" for i in range(8) if i != 2]).updates]
    found = judge("foolsgold", new, None, [as_view(broken).updates], memory=True)
    expected = judge("foolsgold", new, None, absent, memory=True)
    np.testing.assert_allclose(found.suspicion, expected.suspicion, atol=1e-9)
    assert "1 earlier updates left out" in found.notes[0]


def test_foolsgold_says_what_it_remembers():
    rows = sybils()
    history = [as_view(rows).updates]
    assert "not used" in judge("foolsgold", rows, history=history).notes[0]
    assert "of this round alone" in judge("foolsgold", rows, memory=True).notes[0]
    with pytest.raises(UsageError, match="another model"):
        judge("foolsgold", rows, None, [as_view(rows[:, :8]).updates], memory=True)


@pytest.mark.parametrize("seed", range(4))
def test_krum_then_foolsgold(seed):
    rows = sybils(seed=seed)
    rows[:3] *= 20
    judged = judge("krum-foolsgold", rows, assume_malicious="3")
    first = judge("krum", rows, assume_malicious="3")
    assert np.flatnonzero(~first.keep).tolist() == [0, 1, 2]
    rest = judge("foolsgold", rows[3:])
    np.testing.assert_allclose(judged.suspicion[3:], rest.suspicion, atol=1e-9)
    assert judged.keep[3:].tolist() == rest.keep.tolist()
    assert judged.suspicion[:3].min() > judged.suspicion[3:].max()
    assert (np.argsort(judged.suspicion[:3]) == np.argsort(first.suspicion[:3])).all()
    assert judged.reasons[0].startswith("Krum: ") and judged.reasons[-1].startswith("FoolsGold: ")


@pytest.mark.parametrize("seed", range(4))
def test_foolsgold_then_krum(seed):
    rows = sybils(seed=seed)
    rows[:3] *= 20
    first = judge("foolsgold", rows)
    rest = np.flatnonzero(first.keep)
    left = max(0, 10 - (20 - len(rest)))
    judged = judge("foolsgold-krum", rows, assume_malicious="10")
    expected = oracle.krum_scores(rows[rest].tolist(), len(rest) - left - 2)
    np.testing.assert_allclose(judged.suspicion[rest], expected, rtol=1e-9)
    removed = np.flatnonzero(~first.keep)
    assert judged.suspicion[removed].min() > judged.suspicion[rest].max()
    assert (~judged.keep).sum() == 10
    assert f"{left} of them left for Krum" in judged.notes[0]


def test_foolsgold_may_leave_nobody_for_krum():
    judged = judge("foolsgold-krum", np.ones((6, 5)))
    assert not judged.keep.any()
    assert "too few clients for Krum" in " ".join(judged.notes)


@pytest.mark.parametrize("name", ALL)
def test_a_judgement_keeps_its_promises(name):
    rows = sybils().astype(np.float32)
    judged = judge(name, rows)
    assert np.isfinite(judged.suspicion).all()
    assert (judged.keep == (judged.suspicion <= judged.threshold)).all()
    assert len(judged.reasons) == 20 and all(judged.reasons)
    order = np.random.default_rng(3).permutation(20)
    turned = judge(name, rows[order], [f"c{i}" for i in order])
    np.testing.assert_allclose(turned.suspicion, judged.suspicion[order], rtol=1e-4, atol=1e-5)
    assert turned.keep.tolist() == judged.keep[order].tolist()


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("krum", {"assume_malicious": "18"}, "at least f \\+ 3 clients, 21 when 18"),
        ("krum", {"assume_malicious": "many"}, "--assume-malicious many"),
        ("foolsgold", {"confidence": 0.0}, "confidence"),
        ("foolsgold", {"centre": float("nan")}, "centre"),
        ("foolsgold-krum", {"keep_from": 2.0}, "keep_from"),
    ],
)
def test_options_out_of_range(name, options, says):
    with pytest.raises(UsageError, match=says):
        judge(name, sybils(), **options)
