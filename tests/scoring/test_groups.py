"""Kinds of clients, each judged by itself: as if the others had not come."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.files.updates import Updates
from lomar_cli.scoring import groups
from lomar_cli.scoring.base import Judgement
from lomar_cli.scoring.judge import judge, prepare
from lomar_cli.scoring.registry import METHODS
from tests.making import LAYER, tensors
from tests.scoring.auto.rounds import digits

NEEDS_MORE = {"fltrust", "zeno", "zeno-plus", "fldetector"}


def updates_of(count, seed=0, hostile=()):
    made = tensors(count, labels=4, features=30, seed=seed)
    for row in hostile:
        made["fc.weight"][row, 0, 0] = np.nan
    counts = np.full(count, 10)
    return Updates([f"c{i}" for i in range(count)], counts, made, LAYER, list("abcd"))


def two_kinds(count=60, **made):
    """Of every five clients two are of another kind, whose updates lie elsewhere."""
    updates = updates_of(count, **made)
    names = ["b" if i % 5 > 2 else "a" for i in range(count)]
    shift = np.random.default_rng(9).normal(size=(4, 30)).astype(np.float32)
    for row in range(count):
        if names[row] == "b":
            updates.tensors["fc.weight"][row] += 3 * shift
    return updates, names


@pytest.mark.parametrize("name", [name for name in METHODS.names() if name not in NEEDS_MORE])
def test_a_group_is_judged_as_if_the_others_had_not_come(name):
    updates, names = two_kinds(hostile=(0, 3, 7))
    method = METHODS.make(name, {})
    whole = judge(updates, method, groups=names)
    above = (whole.suspicion <= whole.threshold) == whole.keep
    for group in "ab":
        rows = np.flatnonzero(np.array(names) == group)
        alone = judge(updates.rows(rows), method)
        assert (whole.keep[rows] == alone.keep).all()
        assert [whole.reasons[row] for row in rows] == list(alone.reasons)
        # Every method that has them all above the threshold alone has them so here.
        same = (alone.suspicion <= alone.threshold) == alone.keep
        assert (above[rows] == same).all()
        for column, values in alone.columns.items():
            np.testing.assert_array_equal(whole.columns[column][rows], values, column)
        # Alike in order, and in number but for the threshold.
        order = np.argsort(whole.suspicion[rows], kind="stable")
        assert (np.diff(alone.suspicion[order]) >= 0).all()


def test_the_table_says_who_was_judged_among_whom():
    updates, names = two_kinds()
    method = METHODS.make("lomar-auto", {})
    whole = judge(updates, method, groups=names)
    assert whole.notes[0] == "2 groups judged each by itself: 'a' (36 clients), 'b' (24 clients)"
    # What all groups say is said once, what one does with its name.
    rows = {g: np.flatnonzero(np.array(names) == g) for g in "ab"}
    own = {g: set(judge(updates.rows(rows[g]), method).notes) for g in "ab"}
    for note in own["a"] & own["b"]:
        assert whole.notes.count(f"each group: {note}") == 1
    for group, other in ("ab", "ba"):
        for note in own[group] - own[other]:
            assert f"group '{group}': {note}" in whole.notes


@pytest.mark.parametrize("few", [1, 9])
def test_clients_of_no_group_are_judged_among_all(few):
    updates, names = two_kinds()
    wanted: list[str | None] = list(names)
    left = [4, 11, 20, 22, 31, 40, 41, 50, 57][:few]
    for place, row in enumerate(left):
        # Of no group at all, or of one that is too small to tell anything.
        wanted[row] = None if place % 2 else "small"
    method = METHODS.make("lof", {})
    found, among = judge(updates, method, groups=wanted), judge(updates, method)
    expected = among.suspicion[left] - among.threshold
    shown = found.suspicion[left] - found.threshold
    np.testing.assert_allclose(shown, expected, rtol=1e-5, atol=1e-8)
    assert (found.keep[left] == among.keep[left]).all()
    said = next(note for note in found.notes if "of no group" in note)
    assert said.startswith(f"{few} client{'' if few == 1 else 's'} of no group of 10 or more")
    assert "'c4'" in said


def test_without_a_group_that_is_large_enough_all_are_judged_together():
    updates = updates_of(40)
    method = METHODS.make("lomar-auto", {})
    found = judge(updates, method, groups=[str(i // 9) for i in range(40)])
    plain = judge(updates, method)
    np.testing.assert_array_equal(found.suspicion, plain.suspicion)
    assert found.notes == ["no group has 10 clients: all are judged together", *plain.notes]


def test_clients_that_are_set_aside_do_not_make_a_group_large_enough():
    updates = updates_of(40, hostile=(0, 1))
    names = ["a" if i < 11 else "b" for i in range(40)]
    found = judge(updates, METHODS.make("krum", {}), groups=names)
    assert not found.keep[:2].any() and found.suspicion[0] > 1e100
    assert any("9 clients of no group" in note for note in found.notes)


def test_thresholds_of_their_own_are_told_as_one():
    """Suspicions become what they are above their own group's threshold."""
    updates = updates_of(24)

    def judged(view):
        count = len(view.updates.clients)
        level = 5.0 if view.updates.clients[0] == "c0" else np.inf
        suspicion = level + np.arange(count) - 3 if np.isfinite(level) else np.arange(count) * 1.0
        return Judgement(suspicion, level, suspicion <= level, [""] * count)

    view = prepare(updates).view
    found = groups.grouped(view, ["a"] * 12 + ["b"] * 12).judge(judged)
    assert found.threshold == 0.0
    assert (found.keep == (found.suspicion <= 0)).all()
    assert found.suspicion[:12].tolist() == [float(i - 3) for i in range(12)]
    assert found.keep[12:].all()


def test_a_minority_of_another_kind_is_kept_and_its_flippers_are_found():
    """Twenty of a hundred whose updates lie elsewhere: all go by themselves, none in a group."""
    updates, bad = digits("0.5", 3, flips=((1, 7),), attackers=20, samples=100)
    kind = np.arange(len(bad)) % 5 == 0
    rng = np.random.default_rng(0)
    # As after training on pictures that look different: a course that all of them share.
    for name, tensor in updates.tensors.items():
        course = rng.standard_normal(tensor.shape[1:]).astype(tensor.dtype)
        size = np.linalg.norm(tensor.reshape(len(tensor), -1), axis=1).mean()
        tensors_of = np.array(tensor)
        tensors_of[kind] += size * course / np.linalg.norm(course)
        updates.tensors[name] = tensors_of
    method = METHODS.make("lomar-auto", {})
    together = judge(updates, method)
    assert (~together.keep)[kind & ~bad].mean() > 0.5
    names = ["b" if one else "a" for one in kind]
    each = judge(updates, method, groups=names)
    assert each.keep[~bad].mean() > 0.98
    assert not each.keep[bad & ~kind].any()


def test_a_group_in_a_file_is_read_in_parts_that_fit(tmp_path):
    """Of some clients all clients' numbers are read: parts are as wide as for all."""
    from lomar_cli.files.round import open_round
    from lomar_cli.files.stretches import stretches
    from tests.making import write_round

    made = tensors(64, labels=4, features=500)
    path = write_round(tmp_path / "r.h5", made)
    with open_round(path, 2**12) as found:
        whole = found.updates
        few = whole.rows(np.arange(0, 64, 8))
        widths = [
            max(one.block.shape[1] for one in stretches(updates.tensors, 2**15))
            for updates in (whole, few, few.rows(np.arange(4)))
        ]
        assert widths[0] == widths[1] == widths[2] <= 2**15 // 64 // 4
        seen = np.concatenate([one.block.copy() for one in stretches(few.tensors, 2**15)], axis=1)
        flat = np.concatenate([t[::8].reshape(8, -1) for t in made.values()], axis=1)
        np.testing.assert_array_equal(np.sort(seen, axis=1), np.sort(flat, axis=1))


def test_suspicions_above_thresholds_of_their_own_are_told_so():
    updates, names = two_kinds()
    found = judge(updates, METHODS.make("kde", {}), groups=names)
    assert found.threshold == 0
    assert any("suspicions are what they are above these" in note for note in found.notes)
