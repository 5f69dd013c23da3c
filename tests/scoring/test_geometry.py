"""What a geometry makes, and what it leaves unmade when nobody asks for it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from lomar_cli.scoring.auto import copies
from lomar_cli.scoring.auto.views import VIEWS
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.judge import judge
from lomar_cli.scoring.registry import METHODS
from tests.scoring.plain import matrix
from tests.scoring.rounds import random_round
from tests.scoring.test_methods import run, season

KEPT, NOT_KEPT = 2**31, 2**10


@pytest.mark.parametrize("memory", [KEPT, NOT_KEPT])
@pytest.mark.parametrize("rest", [0, 5])
def test_squares_are_pairwise_differences_and_no_labels_are_made_for_them(memory, rest):
    updates = random_round(3, 20, 4, 8, rest=rest)
    geometry = Geometry(updates, memory)
    expected = cdist(matrix(updates), matrix(updates), "sqeuclidean")
    np.testing.assert_allclose(geometry.squares, expected, rtol=1e-6, atol=1e-9)
    assert not geometry._blocks


@pytest.mark.parametrize("memory", [KEPT, NOT_KEPT])
def test_squares_are_the_same_to_the_last_bit_whoever_asked_for_labels_before(memory):
    updates = random_round(3, 20, 4, 8, rest=5)
    asked = Geometry(updates, memory)
    for label in range(4):
        asked.block_squares(label)
    np.testing.assert_array_equal(asked.squares, Geometry(updates, memory).squares)


def test_part_takes_lengths_from_the_whole():
    updates = random_round(1, 12, 3, 4)
    rows = np.array([7, 2, 5])
    found = Geometry(updates).part(rows).norms
    np.testing.assert_allclose(found, np.linalg.norm(matrix(updates), axis=1)[rows], rtol=1e-6)


def test_methods_that_ask_for_every_label_say_so(monkeypatch):
    asked = set()
    own = Geometry.block_squares

    def noted(self, label):
        asked.add(label)
        return own(self, label)

    monkeypatch.setattr(Geometry, "block_squares", noted)
    for name in METHODS.table:
        asked.clear()
        run(name, *season())
        made = METHODS.make(name, {})
        assert getattr(made, "by_label", False) == (len(asked) > 1), name


@pytest.mark.parametrize("name", list(VIEWS))
def test_views_that_ask_for_the_course_say_so(name, monkeypatch):
    asked = []
    own = Geometry.course.func

    class Watched(Geometry):
        @property
        def course(self):
            asked.append(name)
            return own(self)

    monkeypatch.setattr("lomar_cli.scoring.judge.Geometry", Watched)
    judge(random_round(2, 40, 4, 12), METHODS.make("lomar-auto", {"views": name}))
    assert bool(asked) == VIEWS[name].course


def test_copies_need_lengths_alone():
    updates = random_round(4, 14, 3, 4)
    flat = matrix(updates)
    stand_in = SimpleNamespace(count=14, squares=cdist(flat, flat, "sqeuclidean"))
    found = copies.find(stand_in, np.linalg.norm(flat, axis=1))
    assert found.size.tolist() == [1] * 14
