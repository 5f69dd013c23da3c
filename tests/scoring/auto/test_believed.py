"""When one view's word is enough, and when another of a different kind has to bear it out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lomar_cli.scoring.auto.base import Sight
from lomar_cli.scoring.auto.views import VIEWS
from lomar_cli.scoring.judge import judge
from lomar_cli.scoring.lomar_auto import LomarAuto, _believed, _both, _most
from tests.scoring.auto.rounds import digits


def sight(count, flagged, apart=None):
    suspicion = np.where(np.arange(count) < flagged, 2.0, 0.1)
    marks = None if apart is None else np.arange(count) < apart
    return Sight(suspicion, flagged > 0, apart=marks)


@pytest.mark.parametrize(
    ("name", "count", "flagged", "few_labels", "alone"),
    [
        ("near", 10, 2, False, True),
        ("near", 10, 3, False, False),
        ("near", 29, 9, False, False),
        ("near", 30, 9, False, True),
        ("near", 30, 15, False, False),
        ("far", 30, 9, False, False),
        ("far", 49, 15, False, False),
        ("far", 50, 15, False, True),
        ("far", 50, 15, True, False),
        ("near", 200, 60, True, False),
        ("near", 200, 59, True, True),
    ],
)
def test_how_many_a_view_may_flag_alone(name, count, flagged, few_labels, alone):
    sights = {name: sight(count, flagged)}
    found = _believed(name, sights, _most(name, count, few_labels))
    assert found.found == alone
    if not alone:
        assert np.isnan(found.suspicion).all()
        assert f"would flag {flagged} of {count} clients" in found.notes[0]


def test_who_bears_a_view_out():
    """A view of another kind that flags the same clients, or that they stand apart in."""
    near, most = sight(10, 3), _most("near", 10, False)

    def believed(**others):
        return _believed("near", {"near": near, **others}, most).found

    assert believed(far=sight(10, 3))
    assert believed(direction=sight(10, 0, apart=3))
    assert not believed(direction=sight(10, 0, apart=2))
    assert not believed(direction=sight(10, 0))
    # Five of ten are no minority, whoever agrees.
    half = {"near": sight(10, 5), "far": sight(10, 5)}
    assert not _believed("near", half, most).found


def test_a_group_of_copies_counts_as_one_vote():
    """Fourteen of forty, eleven of whom are copies of each other, are four of thirty."""
    votes = np.where(np.arange(40) < 11, 1 / 11, 1.0)
    sights, most = {"signs": sight(40, 14)}, _most("signs", 30, False)
    assert _believed("signs", sights, most, votes).found
    assert not _believed("signs", sights, most).found
    # Nor are they taken for a minority where their votes are none.
    half = {"signs": sight(40, 26), "far": sight(40, 26)}
    assert not _believed("signs", half, most, votes).found


@pytest.mark.parametrize(("seed", "attackers"), [(4, 60), (6, 50)])
def test_a_view_looks_again_without_whom_another_has_found(seed, attackers, monkeypatch):
    """Flippers of 1 tear the group of its honest holders, whose labels then explain too little."""
    updates, bad = digits("0.5", seed, flips=((1, 7),), attackers=attackers, samples=100)
    keep = judge(updates, LomarAuto()).keep
    assert (~keep[bad]).mean() > 0.97
    assert (~keep[~bad]).mean() <= 0.01
    monkeypatch.setitem(VIEWS, "rest", replace(VIEWS["rest"], after=""))
    assert (~judge(updates, LomarAuto()).keep[~bad]).mean() >= 0.1


def test_two_looks_flag_only_whom_both_do():
    one, other = sight(10, 4), sight(10, 2)
    both = _both(one, other)
    assert both.suspicion.tolist() == other.suspicion.tolist() and both.found
    assert not _both(one, sight(10, 0)).found
