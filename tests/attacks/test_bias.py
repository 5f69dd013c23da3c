"""Attacks on biases and label mixes, framing and decorrelation: by hand and by slow loops."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.attacks.alie import Alie
from lomar_cli.attacks.boost import Boost
from lomar_cli.attacks.false_bias import FalseBias
from lomar_cli.attacks.framing import Framing
from lomar_cli.attacks.label_mix_walk import LabelMixWalk, direction
from lomar_cli.attacks.registry import make_round_attack
from lomar_cli.errors import UsageError
from lomar_cli.files.updates import OutputLayer, Updates
from lomar_cli.stages.poison import turn
from tests.attacks.seen import block, seen

LABELS, FEATURES = 4, 5
BIAS = slice(LABELS * FEATURES, LABELS * (FEATURES + 1))


def mixes(clients=30, seed=0, noise=0.0):
    """Updates (clients, d) that follow label shares linearly, biases too; and the slopes."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(LABELS), clients)
    slopes = rng.normal(size=(LABELS, BIAS.stop))
    slopes[:, BIAS] = np.eye(LABELS) - 1 / LABELS
    return 0.3 + shares @ slopes + noise * rng.normal(size=(clients, BIAS.stop)), slopes


def test_framing_sends_each_victim_the_copies_it_is_due():
    known, own = block(9), block(5, seed=2)
    ids = [f"c{row}" for row in range(9)]
    got = Framing(jitter=0.0, victims="c7,c2,c4")(seen(known, own, known_ids=ids))
    # Two copies of each for five attackers: three victims, the first two of them twice.
    np.testing.assert_array_equal(got, known[[7, 2, 4, 7, 2]])
    got = Framing(jitter=0.0, copies_each=5, victims="c7,c2,c4")(seen(known, own, known_ids=ids))
    np.testing.assert_array_equal(got, known[[7] * 5])
    random = Framing(jitter=0.0)(seen(known, own))
    counts = [int((random == row).all(axis=1).sum()) for row in known]
    assert sorted(counts, reverse=True)[:4] == [2, 2, 1, 0]


def test_framing_picks_who_leads_away_from_the_target():
    known = np.array([[0.0, 5], [1, -3], [2, 1], [5, 1]])
    target = np.array([2.0, 11.0])
    # Mean (2, 1), so the target lies straight up: the second client is the furthest from it.
    got = Framing(jitter=0.0)(seen(known, block(2, 2), target=target))
    np.testing.assert_array_equal(got, known[[1, 1]])


def test_framing_jitters_near_its_victims():
    known = block(12, 400)
    got = Framing(copies_each=1)(seen(known, block(12, 400, seed=3)))
    apart = np.linalg.norm(got[:, None] - known, axis=2)
    assert (np.sort(apart.argmin(axis=1)) == np.arange(12)).all()
    assert apart.min(axis=1) == pytest.approx(0.02 * np.sqrt(400), rel=0.3)


@pytest.mark.parametrize("of", ["other", "random"])
def test_a_false_bias_leaves_the_weights(of):
    known, own = block(8, BIAS.stop), block(4, BIAS.stop, seed=1)
    got = FalseBias(bias_of=of)(seen(known, own, bias=BIAS))
    np.testing.assert_array_equal(got[:, : BIAS.start], own[:, : BIAS.start])
    theirs = [any((row[BIAS] == other[BIAS]).all() for other in known) for row in got]
    assert all(theirs) if of == "other" else not any(theirs)
    assert not any((row[BIAS] == mine[BIAS]).all() for row, mine in zip(got, own, strict=True))


def test_who_knows_only_itself_takes_no_bias_of_its_own():
    own, ids = block(3, BIAS.stop), ["a", "b", "c"]
    for seed in range(5):
        more = {"bias": BIAS, "known_ids": ids, "own_ids": ids, "omniscient": False}
        got = FalseBias()(seen(own, own, seed, **more))
        assert not any((row[BIAS] == mine[BIAS]).all() for row, mine in zip(got, own, strict=True))


def test_random_biases_are_spread_as_the_honest_are():
    known = block(200, BIAS.stop, seed=4, centre=2.0)
    known[:, BIAS] *= [1, 2, 3, 4]
    got = FalseBias(bias_of="random")(seen(known, block(4000, BIAS.stop), bias=BIAS))[:, BIAS]
    np.testing.assert_allclose(got.mean(axis=0), known[:, BIAS].mean(axis=0), atol=0.3)
    np.testing.assert_allclose(got.std(axis=0), known[:, BIAS].std(axis=0), rtol=0.1)


def test_the_walks_direction_is_that_of_the_label_mix():
    known, slopes = mixes()
    # The data are linear in the label shares, so the direction is known exactly.
    got = direction(seen(known, known[:1], bias=BIAS), 1, 3)
    np.testing.assert_allclose(got, slopes[3] - slopes[1], atol=1e-9)
    step = np.zeros(LABELS)
    step[[1, 3]] = -1, 1
    np.testing.assert_allclose(got[BIAS], step, atol=1e-9)


def test_a_walked_update_is_explained_as_well_as_before():
    known, _ = mixes(60, noise=0.01)
    own = known[:6]
    got = LabelMixWalk(flip=["2:0"], strength=2.0)(seen(known[6:], own, bias=BIAS))
    bias = known[6:, BIAS] - known[6:, BIAS].mean(axis=0)
    slopes, *_ = np.linalg.lstsq(bias, known[6:] - known[6:].mean(axis=0), rcond=1e-10)

    def unexplained(rows):
        return rows - known[6:].mean(axis=0) - (rows - known[6:].mean(axis=0))[:, BIAS] @ slopes

    np.testing.assert_allclose(unexplained(got), unexplained(own), atol=1e-9)
    apart = known[6:, BIAS][:, 0] - known[6:, BIAS][:, 2]
    moved = (got - own)[:, BIAS]
    np.testing.assert_allclose(moved[:, 0] - moved[:, 2], 4 * np.ptp(apart), rtol=0.05)


def test_a_walk_takes_labels_by_name_and_draws_them_otherwise():
    known, _ = mixes()
    context = seen(known, known[:2], bias=BIAS, labels=["ant", "bee", "cat", "dog"])
    by_name = LabelMixWalk(flip=["bee:dog"])(context)
    np.testing.assert_array_equal(by_name, LabelMixWalk(flip=["1:3"])(context))
    drawn = {LabelMixWalk()(seen(known, known[:1], seed, bias=BIAS)).tobytes() for seed in range(9)}
    assert len(drawn) > 3
    in_turn = LabelMixWalk(flip=["0:1", "bee:dog"])(context)
    np.testing.assert_array_equal(in_turn[0], LabelMixWalk(flip=["0:1"])(context)[0])
    np.testing.assert_array_equal(in_turn[1], by_name[1])
    with pytest.raises(UsageError, match="leads nowhere"):
        LabelMixWalk(flip=["bee:1"])(context)


@pytest.mark.parametrize("name", ["false-bias", "label-mix-walk"])
def test_without_a_bias_there_is_nothing_to_tell(name):
    made = {"w": np.random.default_rng(0).normal(size=(8, 4, 3)).astype(np.float32)}
    updates = Updates([f"c{i}" for i in range(8)], np.ones(8, np.int64), made, OutputLayer("w"))
    with pytest.raises(UsageError, match="the round names none"):
        turn(updates, make_round_attack(name, {}), 2)


def test_the_bias_is_found_wherever_it_lies():
    rng = np.random.default_rng(1)
    made = {
        "first": rng.normal(size=(8, 2, 2)).astype(np.float32),
        "b": rng.normal(size=(8, 4)).astype(np.float32),
        "w": rng.normal(size=(8, 4, 3)).astype(np.float32),
    }
    ids = [f"c{i}" for i in range(8)]
    updates = Updates(ids, np.ones(8, np.int64), made, OutputLayer("w", "b"))
    done = turn(updates, make_round_attack("false-bias", {"bias_of": "random"}), 3).updates
    rows = [ids.index(client) for client in done.clients]
    changed = {key: (done.tensors[key] != made[key][rows]).any() for key in made}
    assert changed == {"first": False, "b": True, "w": False}


def test_decorrelated_copies_have_the_spread_of_the_honest():
    rng = np.random.default_rng(3)
    # Honest updates vary in two directions only, so these must too.
    axes = rng.normal(size=(2, 30))
    known = 0.5 + rng.normal(size=(40, 2)) @ axes
    context = seen(known, block(3000, 30))
    plain, moved = Alie(z=1.0)(context), Alie(z=1.0, decorrelate=2.0).crafted(context)
    away = moved - plain
    np.testing.assert_allclose(np.cov(away.T), 4 * np.cov(known.T), atol=0.15 * 4 * 3)
    np.testing.assert_allclose(away.mean(axis=0), 0, atol=0.3)
    residual = away - away @ np.linalg.pinv(axes) @ axes
    np.testing.assert_allclose(residual, 0, atol=1e-9)
    assert len(np.unique(moved.round(6), axis=0)) == 3000


def test_decorrelation_is_off_unless_asked_for_and_works_on_any_attack():
    known, own = block(6), block(3, seed=2)
    np.testing.assert_array_equal(Boost().crafted(seen(known, own)), 10 * own)
    got = Boost(decorrelate=0.5).crafted(seen(known, own))
    assert (np.linalg.norm(got - 10 * own, axis=1) > 0).all()
    with pytest.raises(UsageError, match="--decorrelate"):
        Boost(decorrelate=-1.0).crafted(seen(known, own))
