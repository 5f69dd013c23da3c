"""The view on labels: mixed flippers of digits rounds, and rounds that it must leave alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lomar_cli.files.updates import OutputLayer, Updates
from lomar_cli.scoring.auto import pairs, search
from lomar_cli.scoring.auto.contrast import Contrasts
from lomar_cli.scoring.auto.mix import _Round, mix
from lomar_cli.scoring.auto.pairs import Pair
from lomar_cli.scoring.auto.unmix import rows_seen
from lomar_cli.scoring.auto.word import Word
from tests.data.real import needs
from tests.scoring.auto.rounds import (
    appended,
    changed,
    digits,
    no_output,
    pure,
    seen,
    trained,
    without_bias,
)
from tests.scoring.plain import from_matrix


def a_round(**more):
    """What ``mix`` works on, for tests of its parts; the numbers of this round do not matter."""
    view = seen(digits("0", 1)[0], **more)
    return _Round(rows_seen(view, view.trusted), view)


def shares(flagged, bad):
    """Found, and false alarms."""
    return flagged[bad].mean(), flagged[~bad].mean()


def flags(updates, **more):
    sight = mix(seen(updates, **more))
    return sight, sight.suspicion > 1


@pytest.mark.parametrize("scheme", ["0", "0.5"])
@pytest.mark.parametrize("attackers", [20, 40])
def test_mixed_flippers_are_found_and_their_pair_named(scheme, attackers):
    found, alarms = [], []
    for seed in (1, 2, 3):
        updates, bad = digits(scheme, seed, flips=((1, 7),), attackers=attackers, samples=100)
        sight, flagged = flags(updates)
        one, other = shares(flagged, bad)
        found.append(one)
        alarms.append(other)
        assert sight.found
        assert any("1:7" in note for note in sight.notes), sight.notes
        words = [sight.words[i] for i in np.flatnonzero(flagged & bad)]
        assert sum("what it calls 7 holds what others call 1" in w for w in words) > len(words) / 2
    assert np.mean(found) >= 0.9, found
    assert np.mean(alarms) <= 0.02, alarms


@pytest.mark.parametrize(
    ("holders", "share", "judged", "compared"),
    [(8, 0.04, 1, 1), (7, 0.04, 0, 1), (4, 0.04, 0, 1), (3, 0.04, 0, 0), (8, 0.02, 0, 0)],
)
def test_a_label_is_judged_of_which_enough_clients_hold_a_little(holders, share, judged, compared):
    """Where each client has one label above all, few have much of any: a little is enough."""
    view = seen(digits("0", 1)[0])
    found = rows_seen(view, view.trusted)
    own = np.zeros_like(found.claims)
    own[:, 0] = 1.0
    own[:holders, 1] = share
    made = _Round(replace(found, claims=own), view)
    assert made.judged.tolist() == [1, judged] + [0] * 8
    assert made.compared.tolist() == [1, compared] + [0] * 8


@needs("kddcup99")
@pytest.mark.parametrize("seed", [1, 2])
def test_labels_that_every_client_holds_a_little_of(seed):
    """One of 23 labels makes nine tenths of each client; flips are in what is left."""
    updates, bad = trained("kddcup99", "0.9", seed, 115, 200, ((11, 9),), 34)
    sight, flagged = flags(updates)
    found, alarms = shares(flagged, bad)
    assert found > 0.4 and alarms < 0.05, (found, alarms)
    assert any(f"{updates.label_name(11)}:{updates.label_name(9)}" in note for note in sight.notes)


@pytest.mark.parametrize("each", [True, False])
def test_several_pairs_at_once(each):
    pairs = ((1, 7), (4, 9))
    updates, bad = digits("0", 1, flips=pairs, attackers=32, samples=100, each=each)
    sight, flagged = flags(updates)
    one, other = shares(flagged, bad)
    assert one >= 0.9 and other <= 0.02, (one, other)
    (note,) = sight.notes
    # Clients who do both are found by one pair, and leave nothing that tells of the other.
    assert ("1:7" in note) + ("4:9" in note) >= (2 if each else 1), note


@pytest.mark.parametrize("attackers", [1, 2, 3])
def test_the_word_of_a_few_on_what_a_label_is_accuses_nobody_else(attackers):
    # Where labels are even, who holds one label alone has more of it than all others together.
    named = set()
    for seed in (1, 2, 4):
        honest, _ = digits("dirichlet3", seed)
        names = [f"p{i}" for i in range(attackers)]
        sight, flagged = flags(appended(honest, pure(1, 7, attackers, seed=seed), names))
        assert not flagged[:100].any(), seed
        assert flagged[100:].all() == sight.found
        named |= set(sight.notes)
        # Nor does who holds one label alone and calls it by its name.
        assert not flags(appended(honest, pure(7, 7, attackers, seed=seed), names))[1].any()
    assert named <= {"labels are flipped in this round: 1:7"}
    assert named or attackers == 3


@pytest.mark.parametrize("scheme", ["0", "0.5", "0.9", "dirichlet0.1"])
def test_honest_rounds_are_left_alone(scheme):
    for seed in (1, 2, 3, 4):
        sight, flagged = flags(digits(scheme, seed)[0])
        assert not flagged.any() and not sight.found, seed
        assert (sight.suspicion <= 1).all() and not sight.words


@pytest.mark.parametrize("seed", [2, 4])
def test_pictures_that_each_client_turns_its_own_way(seed):
    """Honest clients' labels then look a little like others': nobody is guilty of that."""
    sight, flagged = flags(digits("0", seed, turned=30)[0])
    assert not sight.found and not flagged.any()
    updates, bad = digits("0", seed, flips=((1, 7),), attackers=25, samples=100, turned=30)
    assert shares(flags(updates)[1], bad) == (1.0, 0.0)


def test_flippers_who_find_nobody_guilty_are_still_ranked():
    """Few and quiet: below the gate, the ranking is better than chance."""
    from lomar_cli.learning.metrics import auc

    better = []
    for seed in (1, 2, 3):
        updates, bad = digits("0.5", seed, flips=((4, 9),), attackers=4, samples=100)
        sight, _ = flags(updates)
        better.append(auc(sight.suspicion[bad], sight.suspicion[~bad]))
    assert np.mean(better) > 0.8, better


def same(one, other):
    np.testing.assert_allclose(one.suspicion, other.suspicion, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(one.suspicion > 1, other.suspicion > 1)
    assert one.notes == other.notes


def test_the_axis_of_labels_and_the_shape_of_a_row_do_not_matter():
    updates, _ = digits("0", 1, flips=((1, 7),), attackers=20)
    plain, flagged = flags(updates)
    assert flagged.any()
    weight, bias = updates.tensors["fc.weight"], updates.tensors["fc.bias"]
    count, labels, _ = weight.shape
    for shape in ((8, 8), (4, 4, 4)):
        same(
            mix(seen(changed(updates, **{"fc.weight": weight.reshape(count, labels, *shape)}))),
            plain,
        )
    for axis in (1, 2):
        folded = np.moveaxis(weight.reshape(count, labels, 8, 8), 1, 1 + axis)
        turned = Updates(
            updates.clients,
            updates.num_examples,
            {"w": folded, "b": bias},
            OutputLayer("w", "b", axis),
            updates.labels,
        )
        same(mix(seen(turned)), plain)


def test_other_layers_do_not_matter():
    updates, _ = digits("0", 1, flips=((1, 7),), attackers=20)
    hidden = np.random.default_rng(0).standard_normal((len(updates.clients), 50)).astype(np.float32)
    same(mix(seen(changed(updates, hidden=hidden))), mix(seen(updates)))


@pytest.mark.parametrize("scheme", ["0", "0.5"])
def test_without_a_bias_flippers_are_found_too(scheme):
    updates, bad = digits(scheme, 1, flips=((1, 7),), attackers=25, samples=100)
    _, flagged = flags(without_bias(updates))
    one, other = shares(flagged, bad)
    assert one >= 0.8 and other <= 0.03, (one, other)
    honest, _ = digits(scheme, 1)
    assert not flags(without_bias(honest))[1].any()


@pytest.mark.parametrize("scheme", ["0.5", "0.9"])
def test_a_false_bias_does_not_make_honest_groups_disappear(scheme):
    """Attackers send another client's bias with their own weights, and flip or do not."""
    for flips in ((), ((1, 7),)):
        for seed in (1, 2):
            updates, _ = digits(scheme, seed, flips=flips, attackers=25, samples=100)
            rng = np.random.default_rng(seed)
            bias = updates.tensors["fc.bias"].copy()
            bias[100:] = bias[rng.integers(0, 100, 25)]
            _, flagged = flags(changed(updates, **{"fc.bias": bias}))
            groups = updates.tensors["fc.bias"][:100].argmax(axis=1)
            assert flagged[:100].mean() <= 0.02
            for label in np.unique(groups):
                if (groups == label).sum() >= 5:
                    assert flagged[:100][groups == label].mean() < 0.5


def test_too_few_clients_or_labels_are_said_and_nobody_is_flagged():
    few = digits("0", 1, honest=29)[0]
    sight = mix(seen(few))
    assert np.isnan(sight.suspicion).all() and not sight.found
    assert sight.notes == ["fewer than 30 clients for 10 labels: label contents cannot be compared"]
    assert not np.isnan(mix(seen(digits("0", 1, honest=30)[0])).suspicion).any()
    # One label only: everybody holds the same, the others have nothing.
    rng = np.random.default_rng(0)
    weight = 0.01 * rng.standard_normal((40, 3, 6))
    weight[:, 0] += 1
    bias = np.tile([2.0, -1.0, -1.0], (40, 1))
    from tests.scoring.rounds import as_updates

    sight = mix(seen(as_updates(weight, bias)))
    assert np.isnan(sight.suspicion).all()
    assert "cannot be compared" in sight.notes[0]


def test_no_output_layer_or_too_many_labels_are_said():
    sight = mix(seen(no_output(digits("0", 1)[0])))
    assert np.isnan(sight.suspicion).all() and "--output-layer" in sight.notes[0]
    assert np.isnan(mix(seen(from_matrix(np.eye(20)))).suspicion).all()
    from tests.scoring.rounds import random_round

    sight = mix(seen(random_round(0, 150, 65, 3)))
    assert "more than 64 labels" in sight.notes[0]


def test_two_labels_are_not_compared():
    """Each is all that the other is measured by: honest holders would be accused as well."""
    from tests.scoring.rounds import random_round

    sight = mix(seen(random_round(0, 60, 2, 12)))
    assert np.isnan(sight.suspicion).all() and not sight.found
    assert "with two labels there is no third" in sight.notes[0]
    assert not np.isnan(mix(seen(random_round(0, 60, 3, 12))).suspicion).any()


def test_who_was_flagged_before_is_judged_but_teaches_nothing():
    updates, bad = digits("0", 2, flips=((1, 7),), attackers=20)
    trusted = np.ones(len(bad), bool)
    trusted[:3] = False
    weight = updates.tensors["fc.weight"].copy()
    weight[:3] *= -1
    honest = mix(seen(updates, trusted=trusted))
    turned = mix(seen(changed(updates, **{"fc.weight": weight}), trusted=trusted))
    np.testing.assert_array_equal(honest.suspicion[3:] > 1, turned.suspicion[3:] > 1)
    assert (honest.suspicion[bad] > 1).mean() > 0.8


def test_a_label_that_only_flagged_clients_hold_is_not_judged():
    """Sign-flipped updates claim what nobody has; honest clients must not answer for that."""
    updates, _ = digits("0", 2, attackers=20, samples=100)
    bad = np.arange(120) >= 100
    trusted = ~bad
    weight, bias = (updates.tensors[name].copy() for name in ("fc.weight", "fc.bias"))
    # The honest hold eight of the ten labels.
    weight[trusted, 8:], bias[trusted, 8:] = 0.0, bias[trusted].min()
    weight[bad], bias[bad] = -3 * weight[bad], -3 * bias[bad]
    bias[bad, 8:] = 5 * bias.max()
    round_ = changed(updates, **{"fc.weight": weight, "fc.bias": bias})
    rows = rows_seen(seen(round_, trusted=trusted), trusted)
    assert _Round(rows, seen(round_, trusted=trusted)).judged.tolist() == [True] * 8 + [False] * 2
    assert _Round(rows, seen(round_)).judged.all()
    assert not (mix(seen(round_, trusted=trusted)).suspicion[trusted] > 1).any()


@pytest.mark.parametrize(
    ("own", "others", "false_alarm", "guilty"),
    [
        (-6.1, -5.0, 0.01, True),
        (-5.0, -0.4, 0.01, True),
        (-5.0, -0.6, 0.01, False),
        (-4.4, 0.0, 0.01, False),
        (-5.2, -0.4, 0.001, False),
        (-6.1, -5.0, 0.001, False),
        (-3.9, -0.3, 0.1, True),
    ],
)
def test_a_pair_is_guilty_by_its_evidence_or_by_that_beyond_the_others(
    own, others, false_alarm, guilty
):
    one = a_round(false_alarm=false_alarm)
    found = np.zeros((10, 10))
    found[7, 1] = own
    # A label of its own stands in no doubt by what flips do to the other pairs of its labels.
    found[3, 1] = found[7, 4] = found[1, 7] = own + 0.1
    found[2, 5] = others
    assert one._is_guilty(found, [], 7, 1) is guilty
    before = [Pair(2, 5, np.zeros(one.count, dtype=bool))]
    assert one._is_guilty(found, before, 7, 1) is (own <= -4.5 + one.strict)


def test_with_few_other_pairs_only_the_evidence_itself_counts():
    one = a_round()
    one.judged = np.arange(10) < 5
    found = np.zeros((10, 10))
    found[3, 1] = -5.9
    assert not one._is_guilty(found, [], 3, 1)


def test_a_pair_short_of_guilty_ranks_its_clients_first():
    """Three flippers of digits at lambda 0.7, for which evidence has a chance of a thousandth."""
    updates, bad = digits("0.7", 3, flips=((1, 7),), attackers=3, samples=100)
    sight, flagged = flags(updates)
    assert not flagged.any() and not sight.found
    assert bad[np.argsort(-sight.suspicion)[:3]].all()
    assert 0.5 < sight.suspicion.max() <= 0.99


@pytest.mark.parametrize("seed", [1, 5])
def test_two_flippers_are_found_where_nobody_else_is_as_far_out(seed, monkeypatch):
    updates, bad = digits("0.7", seed, flips=((1, 7),), attackers=2, samples=100)
    sight, flagged = flags(updates)
    assert (flagged == bad).all()
    assert sight.notes == ["labels are flipped in this round: 1:7"]
    # Not of labels that fewer than so many hold: what few hold may be of several kinds.
    with monkeypatch.context() as patched:
        patched.setattr(pairs, "_COMMON", 1.01)
        assert not flags(updates)[1].any()
    # Nor where what clients say they hold is not believed: false biases would not show.
    with monkeypatch.context() as patched:
        patched.setattr(search, "_UNSURE", 1.0)
        assert (flags(updates)[1] == bad).all()
        patched.setattr(Word, "tells", False)
        assert not flags(updates)[1].any()


def test_a_few_far_out_must_be_so_with_wider_noise_too():
    """As where each client's pictures are turned by 15 degrees: two far out, and others after."""
    one = a_round()
    assert one.believed
    z = 0.5 * np.random.default_rng(0).standard_normal((100, 10, 10))
    z[:, range(10), range(10)] = np.nan
    tailing = [6.4, 5.7, 3.0, 2.9, 2.6, 1.9, 1.6, 1.6, 1.5, 1.4, 1.2, 1.1]
    z[: len(tailing), 7, 1] = tailing
    below = np.where(np.isnan(z), np.nan, 0.01)
    found = one._all_evidence(Contrasts(z, below), one.trusted)
    assert found[7, 1] < -6 and one._is_guilty(found, [], 7, 1)
    assert not one._is_enough(Contrasts(z, below), [], 7, 1)
    # Flippers stand together.
    z[5 : len(tailing), 7, 1] = 0.5
    assert one._is_enough(Contrasts(z, below), [], 7, 1)


def test_labels_whose_contents_do_not_follow_what_clients_say_are_not_compared():
    """As on pictures that a model hardly tells apart, where all hold about as much of all."""
    updates, bad = digits("0", 1, flips=((1, 7),), attackers=30, samples=100)
    view = seen(updates)
    found = rows_seen(view, view.trusted)
    sight = _Round(found, view).sight(updates)
    assert ((sight.suspicion > 1) == bad).all()
    own = found.claims[np.random.default_rng(0).permutation(len(bad))]
    sight = _Round(replace(found, claims=own), view).sight(updates)
    assert np.isnan(sight.suspicion).all() and not sight.found
    assert sight.notes == [
        "what clients hold of labels hardly shows in their rows, as where all hold about as much: "
        "label contents are not compared"
    ]


@pytest.mark.parametrize(
    ("others", "flagged"),
    [([2.6, 2.4, 2.0, 1.7], 1), ([3.8, 1.5, 1.2, 1.1], 2), ([5.1, 4.9, 4.8, 4.0, 3.7, 3.2], 7)],
)
def test_one_far_out_accuses_nobody_else(others, flagged, monkeypatch):
    """Others of the pair are removed for evidence of their own, or for coming near."""
    one, updates = a_round(), digits("0", 1)[0]
    z = 0.4 * np.random.default_rng(0).standard_normal((100, 10, 10))
    z[:, range(10), range(10)] = np.nan
    z[: len(others) + 1, 7, 1] = [12.3, *others]
    found = (
        Contrasts(z, np.where(np.isnan(z), np.nan, 0.01)),
        [Pair(7, 1, np.arange(100) <= len(others))],
    )
    monkeypatch.setattr(one, "_search", lambda: found)
    suspicion = one.sight(updates).suspicion
    assert (np.flatnonzero(suspicion > 1) == np.arange(flagged)).all()


@pytest.mark.parametrize("seed", [2, 3])
def test_flips_so_many_that_they_bend_the_fit_are_found(seed, monkeypatch):
    """Three in seven: their evidence comes out once they are left out of what it is measured by."""
    updates, bad = digits("0", seed, flips=((1, 7),), attackers=75, samples=100)
    sight, flagged = flags(updates)
    assert (flagged == bad).all()
    assert sight.notes == ["labels are flipped in this round: 1:7"]
    with monkeypatch.context() as patched:
        patched.setattr(search, "_SURE", -np.inf)
        assert not flags(updates)[1].any()
    # Nor where more pairs have evidence than can be guilty, and false biases would not show: then
    # the fit is bent by something else.
    monkeypatch.setattr(search, "_UNSURE", 1.0)
    assert (flags(updates)[1] == bad).all()
    monkeypatch.setattr(Word, "tells", False)
    assert not flags(updates)[1].any()


def test_innocent_pairs_say_how_much_evidence_is_nothing_here():
    """As in 50 labels of two clients each: pair after pair with evidence, each of other labels."""
    one, found = a_round(), np.zeros((10, 10))
    for (g, s), value in {
        (0, 1): -14.0,
        (2, 3): -10.0,
        (4, 5): -8.8,
        (4, 6): -8.6,
        (6, 7): -7.4,
        (8, 9): -7.0,
    }.items():
        found[g, s] = value
    assert one._innocent(found, 0) == -7.0
    assert one._is_guilty(found, [], 0, 1)
    assert not one._is_guilty(found, [], 2, 3)
    found[0, 1] = -12.9
    assert not one._is_guilty(found, [], 0, 1)
    # Nor beyond the others: all show that there is more noise than was allowed for.
    found[0, 1] = -12.8
    found[2, 3] = found[4, 5] = found[4, 6] = -8.2
    assert not one._is_guilty(found, [], 0, 1)
    found[8, 9] = 0.0
    assert one._is_guilty(found, [], 0, 1)


@pytest.mark.parametrize(("spread", "flagged"), [(0.3, True), (4.0, False)])
def test_too_high_for_a_single_client_is_what_others_do_not_come_to(spread, flagged, monkeypatch):
    one, updates = a_round(), digits("0", 1)[0]
    z = spread * np.random.default_rng(0).standard_normal((100, 10, 10))
    z[:, range(10), range(10)] = np.nan
    # Ten of a guilty pair, and one who stands out in another.
    z[:10, 7, 1], z[50, 5, 3] = 60.0, 12.0
    clients = np.arange(100) < 10
    found = Contrasts(z, np.zeros_like(z)), [Pair(7, 1, clients)]
    monkeypatch.setattr(one, "_search", lambda: found)
    suspicion = one.sight(updates).suspicion
    assert (suspicion[:10] > 1).all()
    assert (suspicion[50] > 1) == flagged
    assert not (suspicion[np.r_[10:50, 51:100]] > 1).any()
