"""Distances made while a round is read are those of the round in memory."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.files.round import open_round
from lomar_cli.files.updates import OutputLayer
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.judge import judge
from lomar_cli.scoring.lomar import Lomar
from lomar_cli.stages import score as score_stage
from lomar_cli.stages.gather import Gather
from lomar_cli.stages.score import score
from tests.making import write_round


def made_round(tmp_path, axis=0, clients=20, kind=np.float32):
    rng = np.random.default_rng(0)
    shape = (4, 30, 20) if axis == 0 else (600, 4)
    arrays = {
        "hidden": rng.normal(size=(clients, 50, 30)).astype(kind),
        "w": rng.normal(size=(clients, *shape)).astype(kind),
        "b": rng.normal(size=(clients, 4)).astype(kind),
        "tail": rng.normal(size=(clients, 3)).astype(kind),
    }
    output = OutputLayer("w", "b", axis)
    return write_round(tmp_path / "r.h5", arrays, output=output), arrays


def gathered(path, layers=None, memory=1, by_label=True, by_course=True):
    gather = Gather(layers, memory, jobs=2, by_label=by_label, by_course=by_course)
    with open_round(path, memory, consumer=gather) as found:
        return gather.found, found.updates.magnitudes


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("layers", [None, ["w", "tail"]])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_gathered_while_reading_is_as_computed_in_memory(axis, layers, kind, tmp_path, monkeypatch):
    path, arrays = made_round(tmp_path, axis, kind=kind)
    monkeypatch.setattr("lomar_cli.files.stretches._LEAST", 20 * 700)
    monkeypatch.setattr("lomar_cli.scoring.gather._NARROW", 8)
    found, magnitudes = gathered(path, layers, memory=2**15)
    assert set(magnitudes) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(magnitudes[name], np.abs(array).reshape(20, -1).max(axis=1))
    rows = np.array([0, 3, 4, 19])
    total, blocks, course = found.of(rows)
    assert course is None
    with open_round(path) as whole:
        updates = whole.updates if layers is None else whole.updates.select(layers)
        geometry = Geometry(updates)
        pairs = np.ix_(rows, rows)
        np.testing.assert_allclose(total, geometry.squares[pairs], rtol=1e-5)
        assert sorted(blocks) == [0, 1, 2, 3]
        for label, squares in blocks.items():
            np.testing.assert_allclose(squares, geometry.block_squares(label)[pairs], rtol=1e-5)


def test_labels_that_nobody_asks_for_are_not_gathered(tmp_path, monkeypatch):
    path, _ = made_round(tmp_path)
    monkeypatch.setattr("lomar_cli.files.stretches._LEAST", 20 * 700)
    monkeypatch.setattr("lomar_cli.scoring.gather._NARROW", 8)
    rows = np.arange(20)
    with_labels, without = (
        gathered(path, memory=2**15, by_label=asked)[0].of(rows) for asked in (True, False)
    )
    assert sorted(with_labels.blocks) == [0, 1, 2, 3] and without.blocks == {}
    np.testing.assert_array_equal(without.squares, with_labels.squares)


@pytest.mark.parametrize("layers", [None, ["w", "tail"]])
def test_where_updates_point_is_gathered_if_asked_for(layers, tmp_path, monkeypatch):
    path, _ = made_round(tmp_path)
    monkeypatch.setattr("lomar_cli.files.stretches._LEAST", 20 * 700)
    everybody = np.arange(20)
    assert gathered(path, layers, 2**15, by_course=False)[0].of(everybody).course is None
    found = gathered(path, layers, 2**15)[0].of(everybody).course
    with open_round(path) as whole:
        updates = whole.updates if layers is None else whole.updates.select(layers)
        course = Geometry(updates).course
    for name, values in vars(course).items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("memory", [1, 2**14])
def test_labels_that_are_not_kept_are_read_again(axis, memory, tmp_path):
    path, _ = made_round(tmp_path, axis)
    whole = judged(path, 2**30)
    parts = judged(path, memory)
    np.testing.assert_allclose(parts.suspicion, whole.suspicion, rtol=1e-5, atol=1e-5)
    assert (parts.keep == whole.keep).all()


def judged(path, memory):
    with open_round(path, memory) as found:
        assert found.updates.streamed == (memory < 2**20)
        return judge(found.updates, Lomar(), memory=memory, jobs=2)


@pytest.mark.parametrize("method", ["lomar-auto", "lomar", "lof"])
def test_noise_is_judged_the_same_however_it_is_read(method, tmp_path):
    """Distances of noise nearly tie, so that whoever compares them sees their last digits."""
    rng = np.random.default_rng(4)
    arrays = {"w": rng.normal(size=(60, 10, 20_000)).astype(np.float32)}
    path = write_round(tmp_path / "r.h5", arrays, output=OutputLayer("w"))
    whole, parts = score(path, name=method), score(path, name=method, memory=2**20)
    np.testing.assert_array_equal(parts.keep, whole.keep)
    np.testing.assert_allclose(parts.suspicion, whole.suspicion, rtol=1e-5, atol=1e-5)
    for name in [n for n, values in whole.columns.items() if np.asarray(values).dtype.kind == "f"]:
        near = {"rtol": 1e-5, "atol": 1e-5, "err_msg": name}
        np.testing.assert_allclose(parts.columns[name], whole.columns[name], **near)


@pytest.mark.parametrize(
    ("method", "axis", "stays"),
    [
        ("krum", 0, True),
        ("lomar", 0, True),
        ("lomar-auto", 0, True),
        # Each label lies all over the file.
        ("lomar-auto", 1, False),
        ("dnc", 0, False),
        ("none", 0, False),
    ],
)
def test_a_large_round_stays_in_its_file_where_distances_are_nearly_all(
    method, axis, stays, tmp_path, monkeypatch
):
    path, _ = made_round(tmp_path, axis, clients=40)
    in_memory = score(path, name=method)
    monkeypatch.setattr("lomar_cli.stages.score._HELD", 2**16)
    seen = []
    own = score_stage.screened_round

    def watched(found, *given):
        seen.append(found.updates.streamed)
        return own(found, *given)

    monkeypatch.setattr(score_stage, "screened_round", watched)
    said = score(path, name=method)
    assert seen == [stays]
    assert said.keep.tolist() == in_memory.keep.tolist()
    np.testing.assert_allclose(said.suspicion, in_memory.suspicion, rtol=1e-5, atol=1e-5)


def test_hostile_rows_reach_nobody_and_are_no_distances(tmp_path):
    rng = np.random.default_rng(0)
    array = rng.normal(size=(12, 4, 40)).astype(np.float32)
    clean = array.copy()
    array[2, 1, 1], array[5, 0, 0], array[7] = np.nan, np.inf, 1e30
    found, _ = gathered(write_round(tmp_path / "r.h5", {"w": array}, output=OutputLayer("w")))
    assert np.flatnonzero(found.zeroed).tolist() == [2, 5, 7]
    assert found.of(np.arange(12)) is None
    rows = np.array([0, 1, 3, 4, 6, 8, 9, 10, 11])
    total, _, course = found.of(rows)
    assert course is None
    flat = clean[rows].reshape(9, -1).astype(np.float64)
    expected = ((flat[:, None] - flat[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(total, expected, rtol=1e-5)


@pytest.mark.parametrize("hostile", [np.nan, 0.0])
def test_medians_of_all_are_not_those_of_who_is_left(hostile, tmp_path):
    """Where a client is set aside the others are judged as if it had not come."""
    rng = np.random.default_rng(0)
    array = rng.normal(size=(30, 4, 40)).astype(np.float32)
    array[3] = hostile
    output = OutputLayer("w")
    path = write_round(tmp_path / "r.h5", {"w": array}, output=output)
    left = write_round(tmp_path / "l.h5", {"w": np.delete(array, 3, axis=0)}, output=output)
    streamed, alone = score(path, memory=2**12), score(left)
    near = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(np.delete(streamed.suspicion, 3), alone.suspicion, **near)
    assert streamed.suspicion[3] > 1e9


@pytest.mark.parametrize("method", ["lomar", "lomar-auto"])
def test_all_is_read_once(method, tmp_path, monkeypatch):
    """Digests, magnitudes, distances and medians come from one reading of every number."""
    from lomar_cli.files import stretches

    path, arrays = made_round(tmp_path)
    taken = []
    real = stretches.Stretch

    def counted(block, pieces):
        taken.append(block.size)
        return real(block, pieces)

    monkeypatch.setattr(stretches, "Stretch", counted)
    score(path, name=method, memory=2**17)
    assert sum(taken) == sum(array.size for array in arrays.values())
