"""``lomar drill`` and ``lomar report`` as commands: what they print and what they refuse."""

from __future__ import annotations

import pytest

from tests.commands import ROOT, lomar, works
from tests.experiments import made

ROUND = ROOT / "sample_data" / "digits-round.h5"


def test_drill_prints_a_table_and_names_its_files(tmp_path):
    few = ("--attacks", "alie,nan", "--methods", "lomar,krum", "--shares", "10%", "--seeds", 1)
    ran = works("drill", ROUND, "-o", tmp_path / "out", *few, "--jobs", 1)
    (line,) = [line for line in ran.stdout.splitlines() if line.startswith("nan")]
    assert line.split() == ["nan", "holds", "holds"]
    for name in ("drill.csv", "drill.md", "index.html"):
        assert (tmp_path / "out" / name).is_file()
        assert name in ran.stderr
    again = lomar("drill", ROUND, "-o", tmp_path / "out", *few)
    assert again.exit_code == 4


@pytest.mark.parametrize("shares", ["0", "1", "150%", "many", ","])
def test_drill_refuses_shares_that_are_none(tmp_path, shares):
    ran = lomar("drill", ROUND, "-o", tmp_path / "out", "--shares", shares)
    assert ran.exit_code == 2
    assert "--shares" in ran.stderr
    assert not (tmp_path / "out").exists()


def test_report_of_two_runs(tmp_path):
    pytest.importorskip("matplotlib", reason="figures need the extra 'plot'")
    plan = made.plan([made.setting("MNIST")])
    for name in ("a", "b"):
        made.folder(tmp_path / name, plan, made.accuracies)
    works("report", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "comparison.csv").is_file()
    more = lomar("report", *[tmp_path / "a"] * 3, "-o", tmp_path / "more")
    assert more.exit_code == 2 and "one or two" in more.stderr


def test_report_of_no_run(tmp_path):
    ran = lomar("report", tmp_path, "-o", tmp_path / "out")
    assert ran.exit_code == 3 and "experiment.json" in ran.stderr
