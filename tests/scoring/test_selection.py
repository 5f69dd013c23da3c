"""Medians and selections are NumPy's own."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.scoring.selection import median, row_medians, select_in_rows


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 3, 10, 11, 200, 201])
def test_medians_are_those_of_numpy(kind, size):
    rows = np.random.default_rng(size).normal(size=(5, size)).astype(kind)
    expected = np.median(rows.astype(np.float64), axis=1)
    assert [median(row) for row in rows] == expected.tolist()
    assert median(rows) == np.median(rows.astype(np.float64))
    np.testing.assert_array_equal(row_medians(rows.copy()), expected)


@pytest.mark.parametrize("size", [2**16 - 1, 2**16, 2**16 + 1, 300_001])
@pytest.mark.parametrize("order", ["random", "rising", "few", "equal", "hidden", "infinite"])
def test_medians_of_very_many_are_those_of_numpy(order, size):
    values = np.random.default_rng(size).normal(size=size).astype(np.float32)
    if order == "rising":
        values.sort()
    elif order == "few":
        values = np.round(values)
    elif order == "equal":
        values[:] = 3
    elif order == "hidden":
        # Whoever looks at every so many-eth value alone sees none of the others.
        values[:: size // 2**12] = -9
    elif order == "infinite":
        values[: size // 3] = np.inf
    before = values.copy()
    assert median(values) == np.median(values.astype(np.float64))
    np.testing.assert_array_equal(values, before)


def test_a_median_leaves_its_values_as_they_are():
    values = np.array([3.0, 1.0, 2.0, np.inf])
    assert median(values) == 2.5
    assert values.tolist() == [3.0, 1.0, 2.0, np.inf]


@pytest.mark.parametrize("places", [[0], [7], [0, 7], [3, 1, 3, 5], range(8)])
def test_selected_places_hold_what_sorting_puts_there(places):
    rows = np.random.default_rng(2).integers(0, 6, size=(20, 8)).astype(np.float32)
    ordered = np.sort(rows, axis=1)
    select_in_rows(rows, places)
    np.testing.assert_array_equal(np.sort(rows, axis=1), ordered)
    for place in places:
        np.testing.assert_array_equal(rows[:, place], ordered[:, place])
        assert (rows[:, : place + 1] <= rows[:, [place]]).all()
