"""The drill: attacks on copies of a round, judged by every method."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest

from lomar_cli.cli.drill_table import print_drill
from lomar_cli.engine.opened import local_engine
from lomar_cli.errors import UsageError
from lomar_cli.experiments.drill import Beside, drill
from lomar_cli.experiments.drill_report import summary_table, write_drill
from lomar_cli.experiments.drilled import Drill, Row
from lomar_cli.files.scores import read_scores
from lomar_cli.files.truth import read_truth
from lomar_cli.learning.metrics import detection
from lomar_cli.scoring.registry import METHODS
from lomar_cli.stages.holdout import HeldOut
from tests.commands import works
from tests.making import tensors, write_round

ROUND = Path(__file__).parent.parent.parent / "sample_data" / "digits-round.h5"


@pytest.fixture(scope="module")
def done():
    return drill(
        ROUND,
        ["nan", "boost", "alie", "free-rider-replay"],
        ["lomar", "krum", "none"],
        [0.125, 0.25],
        [0, 1],
        2**31,
    )


def test_every_point_has_a_row(done):
    assert len(done.rows) == 4 * 2 * 2 * 3
    assert done.attacks == ["nan", "boost", "alie", "free-rider-replay"]
    assert done.methods == ["lomar", "krum", "none"]


def test_nan_is_always_caught_and_copies_by_lomar(done):
    for method in done.methods:
        assert done.fails_from("nan", method) is None
    assert done.fails_from("alie", "lomar") is None
    assert done.mean("alie", "lomar", 0.25, "auc") == 1.0


def test_no_defense_catches_nothing_else(done):
    assert done.fails_from("boost", "none") == 0.125
    assert done.unprovoked["none"] == 0


def test_what_cannot_be_run_says_why(done):
    rows = [row for row in done.rows if row.attack == "free-rider-replay"]
    assert all(row.found is None and "--replay" in row.reason for row in rows)


def test_the_round_is_untouched_and_files_are_written(done, tmp_path):
    before = hashlib.sha256(ROUND.read_bytes()).hexdigest()
    written = write_drill(done, tmp_path, "<round>")
    assert hashlib.sha256(ROUND.read_bytes()).hexdigest() == before
    with (tmp_path / "drill.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == len(done.rows)
    text = (tmp_path / "drill.md").read_text()
    assert "| alie |" in text
    # What could not be run is told, and is no row of zeros.
    assert "- free-rider-replay: needs" in text
    assert "| free-rider-replay |" not in text
    page = (tmp_path / "index.html").read_text()
    assert "&lt;round&gt;" in page and "<round>" not in page and "http" not in page
    first = {path: path.read_bytes() for path in written}
    write_drill(done, tmp_path, "<round>")
    assert {path: path.read_bytes() for path in written} == first


def test_jobs_change_nothing(done):
    shared = drill(
        ROUND, done.attacks, done.methods, [0.125, 0.25], [0, 1], 2**31, engine=local_engine(2)
    )
    assert shared == done


def test_all_methods_and_those_that_cannot_judge():
    found = drill(ROUND, ["nan"], ["all"], [0.1], [0], 2**31)
    assert set(found.unprovoked) == set(METHODS.names()) - {"none"}
    # The round has no root update and no history.
    assert set(found.refused) == {"fltrust", "zeno", "zeno-plus", "fldetector"}
    assert not set(found.methods) & set(found.refused)
    with pytest.raises(UsageError, match="stands alone"):
        drill(ROUND, ["nan"], ["all", "lomar"], [0.1], [0], 2**31)


def test_what_lies_beside_the_round_lets_more_be_tried(tmp_path):
    names = np.array([f"c{row}" for row in range(12)])
    made = {name: 3 + array for name, array in tensors(12, seed=1).items()}
    # Each client goes on as it went before, so that its history foretells it.
    rounds = []
    for number in (1, 2, 3):
        slow = {name: array * 0.9**number for name, array in made.items()}
        np.savez(tmp_path / "sent.npz", **slow, client_ids=names)
        rounds.append(tmp_path / f"r{number}.h5")
        layer = ("--output-layer", "fc.weight", "--label-axis", 0)
        works(
            "dump",
            tmp_path / "sent.npz",
            "--differences",
            *layer,
            "--round",
            number,
            "-o",
            rounds[-1],
        )
    mean = {name: array.mean(axis=0, keepdims=True) for name, array in made.items()}
    root = write_round(tmp_path / "root.h5", mean, ["own"])
    wanted = (["sign-flip", "free-rider-replay"], None, [0.25], [0], 2**31)
    alone = drill(rounds[2], *wanted)
    assert not {"fldetector", "fltrust"} & set(alone.methods)
    assert "free-rider-replay" in alone.not_run
    found = drill(rounds[2], *wanted, beside=Beside(rounds[:2], root))
    assert {"fldetector", "fltrust", "zeno-plus"} <= set(found.methods)
    assert found.not_run == {}
    assert found.mean("sign-flip", "fltrust", 0.25, "auc") == 1.0
    shared = ["lomar", "krum"]
    replayed = ("free-rider-replay", rounds[2], "--replay", rounds[1])
    by_hand = judged_by_commands(tmp_path, 3, replayed, "--method", "krum")
    (row,) = (r for r in found.rows if (r.attack, r.method) == ("free-rider-replay", "krum"))
    assert (row.found, row.false_alarms) == (by_hand["found"], by_hand["false_alarms"])
    assert row.auc == pytest.approx(by_hand["auc"])
    for one in (row for row in alone.rows if row.method in shared and row.attack == "sign-flip"):
        assert one in found.rows


def judged_by_commands(folder, turned, attack, *judging):
    """The same by ``attack`` and ``score``, a file each."""
    attacked, scores, truth = (folder / name for name in ("a.h5", "s.csv", "t.json"))
    works("attack", *attack, "--convert", turned, "-o", attacked, "--truth", truth)
    works("score", attacked, *judging, "-o", scores)
    judged = read_scores(scores)
    malicious = set(read_truth(truth).malicious)
    return detection(judged.clients, judged.suspicion, judged.keep, malicious)


def test_held_out_data(tmp_path):
    split = tmp_path / "own.h5"
    works("partition", "digits", "--clients", 1, "--samples-per-client", 60, "-o", split)
    beside = Beside(held_out=HeldOut(split))
    found = drill(ROUND, ["sign-flip"], ["zeno"], [0.25], [0], 2**31, beside=beside)
    judging = ("--method", "zeno", "--holdout", split)
    turned = round(0.25 * found.clients)
    by_hand = judged_by_commands(tmp_path, turned, ("sign-flip", ROUND), *judging)
    (row,) = found.rows
    assert row.found == by_hand["found"] and row.false_alarms == by_hand["false_alarms"]
    assert row.auc == pytest.approx(by_hand["auc"])


def by_hand():
    """Caught at a tenth, missed from a fifth on; two seeds."""
    found = {(0.1, 0): 1.0, (0.1, 1): 0.8, (0.2, 0): 1.0, (0.2, 1): 0.7, (0.4, 0): 1.0, (0.4, 1): 1}
    methods = ["one", "two"]
    rows = [
        Row("alie", share, seed, method, 0.5, float(value) if method == "one" else 1.0, 0.1)
        for (share, seed), value in found.items()
        for method in methods
    ]
    return Drill(50, rows, {"one": 5, "two": 0}, {})


def test_where_a_method_begins_to_fail():
    found = by_hand()
    # Means over seeds: 0.9 holds, 0.85 does not, whatever comes after.
    assert found.fails_from("alie", "one") == 0.2
    assert found.fails_from("alie", "two") is None
    assert (found.held("one"), found.held("two")) == ((0, 1), (1, 1))
    rows = {name: [value.shown for value in values] for name, values in summary_table(found).rows}
    assert rows == {
        "alie": ["from 20%", "holds"],
        "attacks held": ["0 of 1", "1 of 1"],
        "removed unprovoked": ["5 (10%)", "0 (0%)"],
    }


def test_the_table_fits_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    methods = [f"a-long-method-{number}" for number in range(6)]
    rows = [Row("alie", 0.1, 0, method, 0.5, 1.0, 0.1) for method in methods]
    print_drill(Drill(50, rows, dict.fromkeys(methods, 1), {}))
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if line.startswith(("attack", "alie"))]
    assert all(len(line) <= 60 for line in table)
    assert all(any(method in line for line in table) for method in methods)
    assert "…" not in "".join(lines)


@pytest.mark.parametrize(("attacks", "methods"), [(["ali"], None), (None, ["lomr"])])
def test_unknown_names(attacks, methods):
    with pytest.raises(UsageError, match="did you mean"):
        drill(ROUND, attacks, methods, [0.1], [0], 2**31)


def test_shares_are_those_of_whole_clients_each_once():
    """Of 48 clients a hundredth and a fiftieth are one; a tenth are five."""
    found = drill(ROUND, ["nan"], ["none"], [0.1, 0.02, 0.01], [0], 2**31)
    assert found.shares == [1 / 48, 5 / 48]


def test_a_method_that_cannot_tell_clients_apart_was_not_beaten(tmp_path):
    write_round(tmp_path / "few.h5", tensors(4, labels=3, features=20))
    found = drill(tmp_path / "few.h5", ["boost"], ["lomar-auto", "none"], [0.25], [0], 2**31)
    assert found.methods == ["none"]
    assert "too few" in found.refused["lomar-auto"]
