"""The report's files and page: whole, safe, the same bytes."""

from __future__ import annotations

import re

import pytest

from lomar_cli.errors import InputError, OutputExistsError, UsageError
from lomar_cli.experiments.report import report
from tests.experiments import made

pytest.importorskip("matplotlib", reason="figures need the extra 'plot'")


def _status(cell):
    if cell.defense["name"] == "Krum" and cell.seed == 1:
        return "failed", "<script>alert(1)</script>"
    return "done", ""


@pytest.fixture
def results(tmp_path):
    settings = [made.setting("MNIST", {"malicious": ["10%", "40%"]}), made.setting("<b>KDD $x^{")]
    plan = made.plan(settings, layout="table3", title="A <i>title")
    return made.folder(tmp_path / "run", plan, made.accuracies, _status)


def test_the_same_results_give_the_same_bytes(results, tmp_path):
    names = {path.name for path in report([results], tmp_path / "one")}
    assert {"index.html", "results.csv", "rows.csv", "results.md"} <= names
    assert {"table3.csv", "table3.md", "table3-2.csv", "by-tau.png", "by-tau.svg"} <= names
    report([results], tmp_path / "two")
    for name in names:
        first, second = tmp_path / "one" / name, tmp_path / "two" / name
        assert first.read_bytes() == second.read_bytes(), name


def test_the_page_needs_nothing_from_outside_and_says_everything(results, tmp_path):
    report([results], tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert not re.findall(r"(?:src|href)=['\"](?!data:|#)", page)
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page
    assert "<b>" not in page and "A &lt;i&gt;title" in page
    assert "prefers-color-scheme: dark" in page
    for said in ("Seeds</dt><dd>0, 1", "lomar 0.1.0", "3 failed", "Computing time", "paper 0.912"):
        assert said in page, said
    # Every link on the page leads somewhere on it.
    for where in re.findall(r"href='#(\w+)'", page):
        assert f"id='{where}'" in page


def test_two_runs_stand_side_by_side(results, tmp_path):
    other = made.folder(
        tmp_path / "other", made.plan([made.setting("MNIST")]), lambda cell: {"overall": 0.25}
    )
    names = {path.name for path in report([results, other], tmp_path / "both")}
    assert {"comparison.csv", "comparison.md", "1-results.csv", "2-by-defense.png"} <= names
    page = (tmp_path / "both" / "index.html").read_text("utf-8")
    assert "run and other" in page
    assert "other has no such figure" in page
    # LoMar with 0.8 and 0.9 against 0.25: minus 0.6 on average.
    assert "-0.600" in page and "| -0.600 ± 0.071 |" in (
        tmp_path / "both" / "comparison.md"
    ).read_text("utf-8")


def test_folders_of_one_name_are_told_apart(results, tmp_path):
    (tmp_path / "again").mkdir()
    twin = made.folder(tmp_path / "again" / "run", made.plan([made.setting("M")]), made.accuracies)
    report([results, twin], tmp_path / "both")
    page = (tmp_path / "both" / "index.html").read_text("utf-8")
    assert "again/run" in page


def test_three_runs_and_an_existing_folder_are_refused(results, tmp_path):
    with pytest.raises(UsageError, match="one or two"):
        report([results] * 3, tmp_path / "out")
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputExistsError):
        report([results], tmp_path / "out")


def test_nothing_done_is_nothing_to_report(results, tmp_path):
    for path in (results / "cells").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="run it first"):
        report([results], tmp_path / "out")
