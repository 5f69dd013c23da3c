"""``score --plot``: every client is drawn, and where it belongs."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from lomar_cli.scoring.judge import ASIDE, prepare
from lomar_cli.stages.plane import plane
from tests.commands import refused, works
from tests.making import tensors, write_round
from tests.scoring.rounds import random_round

pytest.importorskip("matplotlib", reason="figures need the extra 'plot'")

from lomar_cli.plots.scores import scores_figure
from lomar_cli.plots.verdict import NAMED, Plane

MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def dots(axes):
    """By label, the places (m, 2) of the marks."""
    found = {}
    for marks in axes.collections:
        places = np.asarray(marks.get_offsets())
        if len(places):
            # The marks themselves have no label: colours tell them apart.
            found.setdefault(tuple(marks.get_facecolor()[0][:3]), []).append(places)
    return {colour: np.concatenate(places) for colour, places in found.items()}


def figure(suspicion, threshold, points=None):
    suspicion = np.asarray(suspicion, float)
    rng = np.random.default_rng(0)
    points = rng.normal(size=(len(suspicion), 2)) if points is None else points
    names = [f"c{i}" for i in range(len(suspicion))]
    keep = suspicion <= threshold
    made = scores_figure(names, suspicion, keep, threshold, Plane(points, (0.5, 0.2)), "lof")
    made.draw_without_rendering()
    return made, points


def words(axes):
    return {text.get_text() for text in axes.texts}


def test_every_client_is_drawn_by_rank_and_on_the_map():
    suspicion = [0.3, 5.0, 0.1, 2.0, 0.2, 0.4]
    made, points = figure(suspicion, 1.0)
    left, right = made.axes
    removed, kept = sorted(dots(left).values(), key=len)
    np.testing.assert_allclose(removed, [[1, 5], [2, 2]])
    np.testing.assert_allclose(kept, [[3, 0.4], [4, 0.3], [5, 0.2], [6, 0.1]])
    removed, kept = sorted(dots(right).values(), key=len)
    np.testing.assert_allclose(removed, points[[1, 3]])
    np.testing.assert_allclose(kept, points[[0, 2, 4, 5]])
    assert left.lines[0].get_ydata() == [1, 1]
    assert words(right) == {"c1", "c3"}
    assert "2 of 6 clients removed by lof" in left.get_title(loc="left")


def test_many_are_not_named():
    made, _ = figure([2.0] * (NAMED + 1) + [0.0] * 30, 1.0)
    assert words(made.axes[1]) == set()
    made, _ = figure([2.0] * NAMED + [0.0] * 30, 1.0)
    assert len(words(made.axes[1])) == NAMED


def test_who_was_set_aside_is_above_and_not_on_the_map():
    points = np.random.default_rng(0).normal(size=(6, 2))
    points[2] = np.nan
    made, _ = figure([0.3, 5.0, ASIDE, 2.0, 0.2, 0.4], 1.0, points)
    left, right = made.axes
    (crosses,) = [line for line in left.lines if line.get_marker() == "x"]
    assert list(crosses.get_xdata()) == [1]
    assert sum(map(len, dots(left).values())) == sum(map(len, dots(right).values())) == 5
    assert "1 set aside" in right.get_title(loc="left")
    assert left.get_ylim()[1] < 10


def test_a_few_far_off_do_not_squeeze_all_others():
    usual = np.linspace(0, 1, 30)
    assert figure([*usual, 2], 1.5)[0].axes[0].get_yscale() == "linear"
    assert figure([*usual, 1e6], 1.5)[0].axes[0].get_yscale() == "symlog"


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_equal_suspicions_and_single_clients_are_drawn(value):
    figure([value] * 5, 3.0, np.zeros((5, 2)))
    figure([value], 3.0, np.zeros((1, 2)))


def test_the_map_is_the_svd_of_the_updates():
    updates = random_round(4, 12, 3, 5)
    updates.tensors["fc.weight"][5, 0, 0] = np.inf
    found = plane(prepare(updates))
    flat = np.concatenate([t.reshape(12, -1) for t in updates.tensors.values()], axis=1)
    others = np.delete(flat, 5, axis=0)
    left, values, _ = np.linalg.svd(others - others.mean(axis=0), full_matrices=False)
    wanted = left[:, :2] * values[:2]
    wanted -= np.median(wanted, axis=0)
    points = np.delete(found.points, 5, axis=0)
    # The sign of a component is arbitrary.
    np.testing.assert_allclose(np.abs(points), np.abs(wanted), atol=1e-9)
    np.testing.assert_allclose(found.shares, values[:2] ** 2 / (values**2).sum())
    assert np.isnan(found.points[5]).all()


def test_nobody_to_draw():
    updates = random_round(4, 3, 3, 5)
    updates.tensors["fc.weight"][:] = np.nan
    found = plane(prepare(updates))
    assert np.isnan(found.points).all()
    figure([ASIDE] * 3, 0.0, found.points)


@pytest.mark.parametrize("kind", MAGIC)
@pytest.mark.parametrize("method", ["lomar", "krum", "none"])
def test_the_command_draws_the_same_bytes_every_time(kind, method, round_file, tmp_path):
    made = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}.{kind}"
        ran = works("score", round_file, "-m", method, "--plot", path)
        assert path.name in ran.stderr
        made.append(path.read_bytes())
    assert made[0] == made[1]
    assert made[0].startswith(MAGIC[kind])


def test_names_are_no_formulas_and_fonts_may_lack_letters(tmp_path):
    made = tensors(9)
    made["fc.weight"][0] *= 1e3
    names = ["$x_{", "名前", *(f"c{i}" for i in range(7))]
    path = write_round(tmp_path / "r.h5", made, clients=names)
    ran = works("score", path, "-q", "-m", "norm-threshold", "--plot", tmp_path / "f.svg")
    assert ran.stderr == ""


def test_a_figure_that_cannot_be_written_is_refused_first(round_file, tmp_path, monkeypatch):
    words = ("score", round_file, "--plot")
    refused(tmp_path, 2, ["--plot", "png, svg or pdf"], *words, tmp_path / "f.jpeg")
    refused(tmp_path, 2, ["--plot"], *words, tmp_path / "f.png", "--method", "all", "-o", "x")
    table = tmp_path / "same.svg"
    refused(tmp_path, 2, ["also -o"], *words, table, "-o", table, "--format", "csv")
    table.write_text("mine")
    refused(tmp_path, 4, ["same.svg", "--plot"], *words, table, "-o", tmp_path / "s.csv")
    works(*words, table, "-f")
    assert table.read_bytes().startswith(MAGIC["svg"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    refused(tmp_path, 1, ["lomar-cli[plot]"], *words, tmp_path / "f.png")
