"""ROC curves of score tables, against scikit-learn's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import auc, roc_curve

from lomar_cli.stages.detect import names
from tests.commands import refused, works
from tests.making import write_json

pytest.importorskip("matplotlib", reason="figures need the extra 'plot'")

from lomar_cli.plots.roc import Verdict, roc, roc_figure


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("digits", [0, 1, 8])
def test_the_curve_is_scikit_learns(seed, digits):
    rng = np.random.default_rng(seed)
    malicious = rng.random(40) < 0.3
    malicious[:2] = True, False
    # Few digits make ties.
    suspicion = np.round(rng.normal(malicious * 1.0), digits)
    alarms, found = roc(suspicion, malicious)
    wanted, share, _ = roc_curve(malicious, suspicion, drop_intermediate=False)
    np.testing.assert_allclose(alarms, wanted)
    np.testing.assert_allclose(found, share)


def verdict(name, found=0.5, false_alarms=0.25):
    malicious = np.array([True, True, False, False, False, False])
    suspicion = np.array([3.0, 1.0, 2.0, 0.5, 0.4, 0.3])
    return Verdict(name, suspicion, malicious, 0.875, found, false_alarms)


@pytest.mark.parametrize("count", [1, 3, 9])
def test_every_table_has_its_curve_and_its_mark(count):
    figure = roc_figure([verdict(f"m{i}", i / 10, i / 20) for i in range(count)])
    figure.draw_without_rendering()
    axes = figure.axes[0]
    curves = [line for line in axes.lines if len(line.get_xdata()) == 7]
    assert len(curves) == count
    for curve in curves:
        assert auc(curve.get_xdata(), curve.get_ydata()) == pytest.approx(0.875)
    marks = {
        (line.get_xdata()[0], line.get_ydata()[0])
        for line in axes.lines
        if len(line.get_xdata()) == 1
    }
    assert marks == {(i / 20, i / 10) for i in range(count)}
    legend = figure.legends[0] if count > 6 else axes.get_legend()
    told = [text.get_text() for text in legend.get_texts()]
    assert told[:count] == [f"m{i} (AUC 0.875)" for i in range(count)]


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ([("lof", "a.h5"), ("krum", "b.h5")], ["lof", "krum"]),
        ([("", "a.csv"), ("", "b.csv")], ["a", "b"]),
        ([("lof", "a.h5"), ("lof", "b.h5")], ["lof (a.h5)", "lof (b.h5)"]),
        ([("lof", "x/a.h5"), ("lof", "y/a.h5")], ["lof (x/a.h5)", "lof (y/a.h5)"]),
        ([("lof", "a.h5"), ("", "lof.csv")], ["lof (a.h5)", "lof.csv"]),
        ([("lof", "a.h5"), ("lof", "a.h5")], ["lof (a.h5) 1", "lof (a.h5) 2"]),
    ],
)
def test_tables_are_told_apart(tables, told):
    assert names([(method, Path(path)) for method, path in tables]) == told


@pytest.fixture
def tables(untrained, tmp_path):
    made = [tmp_path / "lof.h5", tmp_path / "kde.csv"]
    for path in made:
        works("score", untrained.round, "-m", path.stem, "-o", path, "-q")
    return [*made, untrained.scores]


def test_several_tables_are_compared_with_one_truth(untrained, tables, tmp_path):
    given = [word for path in tables for word in ("--scores", path)]
    words = ("evaluate", *given, "--truth", untrained.truth)
    ran = works(*words, "--roc", tmp_path / "one.svg", "-o", tmp_path / "m.json")
    assert "3 ROC curves" in ran.stderr
    document = json.loads((tmp_path / "m.json").read_text())
    assert "detection" not in document
    assert [one["scores"] for one in document["detections"]] == [path.name for path in tables]
    for path, found in zip(tables, document["detections"], strict=True):
        alone = json.loads(
            works("evaluate", "--scores", path, "--truth", untrained.truth, "--json").stdout
        )
        assert {**alone["detection"], "scores": path.name} == found
    inputs = document["provenance"][0]["inputs"]
    assert sorted(inputs) == ["scores_0", "scores_1", "scores_2", "truth"]
    works(*words, "--roc", tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    shown = works(*words).stdout.splitlines()
    assert [line.split()[0] for line in shown[1:]] == [path.name for path in tables]


def test_what_has_no_curve_is_refused(untrained, tables, tmp_path):
    words = ("evaluate", "--scores", tables[0], "--truth")
    nobody = write_json(tmp_path / "nobody.json", {"malicious": []})
    refused(tmp_path, 1, ["--roc", "none is"], *words, nobody, "--roc", tmp_path / "f.png")
    stranger = write_json(tmp_path / "other.json", {"malicious": ["who"]})
    both = (*words, stranger, "--scores", tables[1])
    refused(tmp_path, 3, ["other.json", "'who'", "lof.h5"], *both)
    refused(tmp_path, 2, ["--roc"], *words, untrained.truth, "--roc", tmp_path / "f.gif")
    model = ("evaluate", untrained.model, "--split", untrained.poisoned)
    refused(tmp_path, 2, ["--roc", "--scores"], *model, "--roc", tmp_path / "f.png")
