"""Distances in blocks and tiles, beside plain loops in float64."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.files.updates import OutputLayer, Updates
from lomar_cli.scoring import distances, nearest
from lomar_cli.scoring.distances import SquareSum, single, squared_distances
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.middle import CourseSum, medians
from lomar_cli.scoring.wide import LARGE


def slow(x):
    wide = x.astype(np.float64)
    return ((wide[:, None] - wide[None]) ** 2).sum(axis=2)


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(distances, "TILE", 7)
    monkeypatch.setattr(nearest, "_CELLS", 60)


def hard_round(columns=40):
    """A common offset, near-copies across tiles, exact copies, a giant."""
    rng = np.random.default_rng(0)
    x = 100 + rng.normal(size=(23, columns))
    x[20] = x[2] + 1e-4 * rng.normal(size=columns)
    x[11] = x[2] + 1e-4 * rng.normal(size=columns)
    x[17] = x[5]
    x[9] = 1e9
    return x.astype(np.float32)


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("columns", [1, 3, 40])
def test_tiles_lose_no_digits(jobs, columns, small_tiles):
    x = hard_round(columns)
    made = SquareSum(len(x), jobs)
    made.add(x)
    found, expected = made.finish(), slow(x)
    np.testing.assert_allclose(found, expected, rtol=1e-5 if columns > 8 else 1e-2)
    assert found[17, 5] == 0
    assert (found == found.T).all() and (found.diagonal() == 0).all()


def test_threads_change_no_bit(small_tiles):
    x = hard_round()
    one, three = SquareSum(len(x), 1), SquareSum(len(x), 3)
    for adder in (one, three):
        adder.add(x[:, :25])
        adder.add(x[:, 25:])
    assert one.finish().tobytes() == three.finish().tobytes()


def test_blocks_of_columns_add_up(small_tiles):
    x = hard_round()
    parts = SquareSum(len(x))
    for start in range(0, 40, 11):
        parts.add(x[:, start : start + 11])
    np.testing.assert_allclose(parts.finish(), slow(x), rtol=1e-5)
    np.testing.assert_allclose(squared_distances(x), slow(x), rtol=1e-5)


@pytest.mark.parametrize("columns", [1, 3, 40])
def test_one_block_alone_loses_no_digits(columns, small_tiles, monkeypatch):
    monkeypatch.setattr(distances, "_STRIP", 5)
    x = hard_round(columns)
    np.testing.assert_allclose(single(x), slow(x), rtol=1e-5 if columns > 8 else 1e-2)
    # Nobody near: by one product in the updates' own type.
    rows = np.array([row for row in range(len(x)) if row not in (11, 17, 20)])
    found = single(x[rows])
    assert found.dtype == (np.float32 if columns > 8 else np.float64)
    np.testing.assert_allclose(found, slow(x[rows]), rtol=1e-5 if columns > 8 else 1e-2)
    assert (found == found.T).all() and (found.diagonal() == 0).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_one_block_alone_near_the_ends_of_its_type(kind):
    x = np.random.default_rng(3).normal(size=(9, 200)).astype(kind)
    for scale in (LARGE[x.itemsize] / np.abs(x).max(), 1e-12):
        scaled = x * kind(scale)
        np.testing.assert_allclose(single(scaled), slow(scaled), rtol=1e-5)


@pytest.mark.parametrize("cut", [700, 2500, 20_000])
def test_noise_keeps_the_digits_in_which_it_differs(cut):
    """Distances of noise nearly tie: what tells them apart must not hang on how they are cut."""
    x = np.random.default_rng(5).normal(size=(40, 20_000)).astype(np.float32)
    parts = SquareSum(len(x))
    for start in range(0, x.shape[1], cut):
        parts.add(x[:, start : start + cut])
    expected = np.stack([((x.astype(np.float64) - row) ** 2).sum(axis=1) for row in x])
    found, others = parts.finish(), ~np.eye(40, dtype=bool)
    spread = expected[others].std()
    assert np.abs(found - expected)[others].max() < 5e-6 * spread


@pytest.mark.parametrize("spread", [0.3, 0.03, 0.003])
@pytest.mark.parametrize("cut", [90, 1000])
def test_groups_lose_no_digits(cut, spread, small_tiles):
    """Clients of three kinds, each near its own beside how far they all are from the middle."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3, 1000))[np.arange(30) % 3] + spread * rng.normal(size=(30, 1000))
    x = x.astype(np.float32)
    parts = SquareSum(len(x))
    for start in range(0, x.shape[1], cut):
        parts.add(x[:, start : start + cut])
    np.testing.assert_allclose(parts.finish(), slow(x), rtol=3e-6)


@pytest.mark.parametrize("first", [0, 300])
@pytest.mark.parametrize("tile", [9, 768])
def test_a_few_near_ones_lose_no_digits(tile, first, monkeypatch):
    """Some alike among many, here from the first columns on and there only in later ones."""
    monkeypatch.setattr(distances, "TILE", tile)
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 1500))
    alike = [3, 4, 17, 30]
    x[alike, first:] = x[3, first:] + 0.01 * rng.normal(size=(4, 1500 - first))
    x = x.astype(np.float32)
    parts = SquareSum(len(x))
    exact = 0

    def counting(self, rows, columns, made=distances._Block._exact):
        nonlocal exact
        found = made(self, rows, columns)
        exact += found[0].size
        return found

    monkeypatch.setattr(distances._Block, "_exact", counting)
    for start in range(0, x.shape[1], 300):
        parts.add(x[:, start : start + 300])
    np.testing.assert_allclose(parts.finish(), slow(x), rtol=5e-7)
    # Where they are few in a tile, the others are not multiplied again.
    assert exact == 16 * (5 - first // 300) if tile > 40 else exact > 0


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("k", [1, 2, 5, 22])
def test_profile_and_kth_distances(k, jobs, small_tiles):
    squares = slow(np.random.default_rng(1).normal(size=(23, 6)))
    rows = np.sort(np.sqrt(squares + np.diag(np.full(23, np.inf))), axis=1)
    found = nearest.profile(squares, k, jobs)
    np.testing.assert_allclose(found.second, rows[:, 1])
    np.testing.assert_allclose(found.kth, rows[:, k - 1])
    np.testing.assert_allclose(found.mean, rows[:, :k].mean(axis=1))
    ks = [k, 1, 3]
    expected = np.stack([rows[:, j - 1] for j in ks], axis=1)
    np.testing.assert_allclose(nearest.kth_distances(squares, ks, jobs), expected)


def test_profile_of_two_clients():
    found = nearest.profile(np.array([[0.0, 4.0], [4.0, 0.0]]), 1)
    assert found.second.tolist() == found.kth.tolist() == found.mean.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("jobs", [1, 2])
def test_neighbourhoods_by_rows_are_the_whole(jobs, monkeypatch):
    squares = slow(np.random.default_rng(1).normal(size=(30, 4)))
    squares[3, 4] = squares[3, 7] = squares[4, 3] = squares[7, 3]
    whole = nearest.neighbourhoods(squares, 9, squares.dtype)
    monkeypatch.setattr(nearest, "_CELLS", 60)
    rows = nearest.neighbourhoods(squares, 9, squares.dtype, jobs)
    assert (whole.mask == rows.mask).all()
    assert not whole.mask.diagonal().any() and whole.mask.sum(axis=1).min() == 9
    np.testing.assert_array_equal(whole.pick(squares), rows.pick(squares))
    np.testing.assert_array_equal(rows.pick(squares), squares[rows.mask])


def with_ties(count, columns, share, seed=0):
    """Numbers (n, columns) of which so many are one and the same in a column: zero, or another."""
    rng = np.random.default_rng([seed, count])
    block = rng.normal(size=(count, columns)).astype(np.float32)
    block += rng.integers(-1, 2, columns).astype(np.float32)
    same = np.where(np.arange(columns) % 3 == 0, np.float32(0.7), np.float32(0))
    return np.where(rng.random(block.shape) < share, same, block)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 101])
@pytest.mark.parametrize("share", [0, 0.2, 0.5, 0.9, 1])
def test_medians(count, share):
    block = with_ties(count, 300, share)
    rows = np.array(block.T, order="C")
    middle, tied = medians(rows, rows == 0)
    expected = np.median(block.astype(float), axis=0)
    np.testing.assert_array_equal(middle, expected)
    most = (block == expected).sum(axis=0) * 2 > count
    assert tied[most].all()
    if share == 0 and count > 3:
        assert tied.mean() < 0.1


@pytest.mark.parametrize("count", [1, 2, 3, 8, 41])
@pytest.mark.parametrize("share", [0, 0.3, 0.8])
@pytest.mark.parametrize("jobs", [1, 2])
def test_where_updates_point_is_as_defined(count, share, jobs):
    """Against the definitions, over blocks of columns whose number is no multiple of any step."""
    block = with_ties(count, 1201, share)
    added = CourseSum(count)
    for some in (slice(0, 700), slice(700, 701), slice(701, None)):
        added.add(block[:, some], jobs)
    found, wide = added.finish(), block.astype(float)
    middle = np.median(wide, axis=0)
    quiet = [c for c in range(1201) if (wide[:, c] == middle[c]).sum() * 2 > count]
    stirred = (wide[:, quiet] != middle[quiet]).sum(axis=1) / max(len(quiet), 1)
    np.testing.assert_allclose(found.inner, wide @ middle, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.lengths, np.linalg.norm(wide, axis=1), rtol=1e-10)
    np.testing.assert_allclose(found.median_length, np.linalg.norm(middle), rtol=1e-10)
    np.testing.assert_array_equal(found.zeros, (block == 0).mean(axis=1))
    np.testing.assert_array_equal(found.positives, (block > 0).mean(axis=1))
    assert found.quiet == len(quiet) / 1201
    np.testing.assert_allclose(found.stirred, stirred, rtol=1e-12)
    if share == 0.8 and count > 3:
        assert 0.3 < found.quiet <= 1 and 0 < found.stirred.max() < 1


@pytest.mark.parametrize("memory", [2**14, 2**30])
def test_geometry_along_the_median(memory):
    rng = np.random.default_rng(0)
    tensors = {"a": rng.normal(size=(9, 30, 40)), "fc": rng.normal(size=(9, 3, 5))}
    updates = Updates(list("abcdefghi"), np.ones(9, int), tensors, OutputLayer("fc"))
    flat = np.concatenate([t.reshape(9, -1) for t in tensors.values()], axis=1)
    middle = np.median(flat, axis=0)
    course = Geometry(updates, memory).course
    inner, lengths, length = course.inner, course.lengths, course.median_length
    np.testing.assert_allclose(inner, flat @ middle, rtol=1e-10)
    np.testing.assert_allclose(lengths, np.linalg.norm(flat, axis=1), rtol=1e-10)
    np.testing.assert_allclose(length, np.linalg.norm(middle), rtol=1e-10)
