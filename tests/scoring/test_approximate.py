"""Approximate neighbours: with all others as candidates they are the exact ones."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from lomar_cli.errors import LomarError, UsageError
from lomar_cli.files.updates import OutputLayer, Updates
from lomar_cli.scoring import approximate as module
from lomar_cli.scoring.approximate import Listed, _without_self, approximate
from lomar_cli.scoring.density import log_density, log_neighbour_mean
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.judge import judge
from lomar_cli.scoring.lomar import Lomar
from lomar_cli.scoring.nearest import Neighbourhoods
from tests.making import tensors


def some_round(clients=40):
    made = {**tensors(clients, 4, 12), "hidden": tensors(clients, 5, 6, seed=1)["fc.weight"]}
    names = [f"c{row:03}" for row in range(clients)]
    return Updates(names, np.ones(clients, int), made, OutputLayer("fc.weight", "fc.bias"))


@pytest.fixture
def all_are_candidates(monkeypatch):
    def everybody(points, wanted):
        rows = np.arange(len(points))
        return np.stack([np.delete(rows, row)[:wanted] for row in rows])

    monkeypatch.setattr(module, "_search", everybody)
    monkeypatch.setattr(module, "_CANDIDATES", 1000)


def test_scores_are_the_exact_ones_when_all_are_candidates(all_are_candidates):
    updates = some_round()
    exact = judge(updates, Lomar(neighbors="7"))
    found = judge(updates, Lomar(neighbors="7", neighbors_search="approximate"))
    np.testing.assert_allclose(found.suspicion, exact.suspicion, rtol=1e-4, atol=1e-4)
    assert (found.keep == exact.keep).all()


def test_pairs_and_their_squares(all_are_candidates):
    updates = some_round()
    listed, by_label = approximate(updates, 5, 0, 2**20)
    geometry = Geometry(updates)
    mask = geometry.neighbours(5).mask
    assert np.take_along_axis(mask, listed.indices, axis=1).all()
    for label, squares in enumerate(by_label):
        expected = np.take_along_axis(geometry.block_squares(label), listed.indices, axis=1)
        np.testing.assert_allclose(squares.reshape(40, 5), expected, rtol=1e-4)


@pytest.mark.parametrize("spread", [1.0, 2000.0])
def test_a_list_is_as_good_as_a_mask(spread):
    rng = np.random.default_rng(0)
    squares = rng.random((9, 9))
    indices = np.stack([np.delete(np.arange(9), row)[rng.permutation(8)[:3]] for row in range(9)])
    indices.sort(axis=1)
    mask = np.zeros((9, 9), bool)
    np.put_along_axis(mask, indices, True, axis=1)
    listed, dense = Listed(indices), Neighbourhoods(mask)
    pairs = dense.pick(squares)
    for near in (listed, dense):
        expected = log_density(pairs, dense, 0.1, "laplace")
        np.testing.assert_array_equal(log_density(pairs, near, 0.1, "laplace"), expected)
    log_q = spread * rng.normal(size=(9, 2))
    np.testing.assert_allclose(log_neighbour_mean(log_q, listed), log_neighbour_mean(log_q, dense))


def test_nobody_is_its_own_neighbour_and_holes_are_filled():
    found = np.array([[0, 1, 2], [2, 0, 3], [2, -1, -1], [1, 3, -1]])
    others = _without_self(found, 2)
    assert others[:2].tolist() == [[1, 2], [2, 0]]
    for row, near in enumerate(others):
        assert row not in near and len(set(near)) == 2 and min(near) >= 0


def test_the_graph_finds_nearly_all_and_the_same_again():
    pytest.importorskip("faiss", reason="the extra ann is not installed")
    updates = some_round(600)
    listed, _ = approximate(updates, 10, 0, 2**24)
    again, _ = approximate(updates, 10, 0, 2**24)
    np.testing.assert_array_equal(listed.indices, again.indices)
    mask = Geometry(updates).neighbours(10).mask
    assert np.take_along_axis(mask, listed.indices, axis=1).mean() > 0.95


def test_without_the_extra_it_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(LomarError, match=r"--neighbors-search approximate: .*lomar-cli\[ann\]"):
        judge(some_round(), Lomar(neighbors="5", neighbors_search="approximate"))


def test_an_unknown_search_is_refused():
    with pytest.raises(UsageError, match="--neighbors-search sloppy"):
        Lomar(neighbors_search="sloppy")
