"""The view on parameters that most leave alone, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.scoring.auto import quiet
from lomar_cli.scoring.auto.base import Seen
from lomar_cli.scoring.geometry import Geometry
from tests.scoring.auto import slow
from tests.scoring.plain import from_matrix

COUNT, SIZE = 60, 600


def a_round(seed, made_up=10):
    """Half of the features are rare: a client's samples show each with a chance of a tenth.

    The last clients send the mean of the others, and noise: they move whatever anyone moves.
    """
    rng = np.random.default_rng(seed)
    flat = rng.standard_normal((COUNT, SIZE)) + 1.0
    flat[:, : SIZE // 2] *= rng.random((COUNT, SIZE // 2)) < 0.1
    honest = flat[: COUNT - made_up]
    flat[COUNT - made_up :] = honest.mean(axis=0) + 0.1 * rng.standard_normal((made_up, SIZE))
    return flat


def looked(flat, jobs=1, memory=2**31):
    geometry = Geometry(from_matrix(flat), memory=memory, jobs=jobs)
    return quiet.quiet(Seen(geometry, np.ones(len(flat), bool), 0.01))


def stirred(flat):
    """By definition: at a quiet parameter more than half hold the same number."""
    rows = flat.tolist()
    count, size = len(rows), len(rows[0])
    moved, still = [0] * count, 0
    for j in range(size):
        column = [row[j] for row in rows]
        common = max(set(column), key=column.count)
        if 2 * column.count(common) <= count:
            continue
        still += 1
        for i in range(count):
            moved[i] += column[i] != common
    return [m / still for m in moved], still / size


@pytest.mark.parametrize("made_up", [0, 10])
def test_it_is_the_counts_by_hand(made_up):
    flat = a_round(1, made_up)
    values, share = stirred(flat)
    assert share > quiet._LEAST_QUIET
    expected, beyond = slow.suspicions(values, *quiet._CONSTANTS)
    if not beyond:
        expected = slow.ranked(expected)
    sight = looked(flat)
    np.testing.assert_allclose(sight.suspicion, expected, rtol=1e-9, atol=1e-12)
    assert set(sight.words) == beyond == set(range(COUNT - made_up, COUNT))


@pytest.mark.parametrize("seed", range(5))
def test_who_makes_it_up_is_found_and_nobody_else(seed):
    sight = looked(a_round(seed))
    assert set(np.flatnonzero(sight.suspicion > 1)) == set(range(50, 60))
    assert "moves 100% of the parameters that most leave alone" in sight.words[55]


def test_threads_change_nothing():
    flat = a_round(2)
    np.testing.assert_array_equal(looked(flat, jobs=2).suspicion, looked(flat).suspicion)


def test_nothing_is_said_where_everybody_moves_everything():
    flat = np.random.default_rng(0).standard_normal((COUNT, SIZE))
    sight = looked(flat)
    assert not sight.found and np.isnan(sight.suspicion).all()
    assert "no parameters that most clients leave alone" in sight.notes[0]


def test_nothing_is_said_where_nobody_moves_them():
    flat = np.random.default_rng(0).standard_normal((COUNT, SIZE))
    flat[:, :100] = 0.0
    sight = looked(flat)
    assert not sight.found and np.isnan(sight.suspicion).all()


def test_a_few_more_than_usual_is_nothing():
    """All move 3 to 5 of 300, one moves 20: far in spreads, but few."""
    rng = np.random.default_rng(0)
    flat = np.concatenate([np.zeros((COUNT, 300)), rng.standard_normal((COUNT, 300))], axis=1)
    for i in range(COUNT):
        flat[i, rng.choice(300, 3 + i % 3, replace=False)] = 1.0
    flat[7, :20] = 1.0
    sight = looked(flat)
    assert not sight.found and sight.suspicion.max() <= 0.99
