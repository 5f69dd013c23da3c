"""``lomar score`` with --method all, --history, --root, --seed and --assume-malicious."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from lomar_cli.files.round import open_round
from lomar_cli.files.scores import read_scores
from lomar_cli.scoring.registry import METHODS
from tests.commands import check_refused, lomar, refused, works
from tests.making import change, tensors, write_round


def number(path, value):
    def edit(handle: h5py.File) -> None:
        handle.attrs["round_number"] = np.int64(value)

    return change(path, edit)


@pytest.fixture
def rounds(tmp_path):
    """Rounds 1 to 3 in a folder of their own, round 4 to be judged, and a trusted round."""
    folder = tmp_path / "rounds"
    folder.mkdir()
    # Names that do not sort by round number.
    for place, name in ((1, "c"), (2, "a"), (3, "b")):
        number(write_round(folder / f"{name}.h5", tensors(12, seed=place)), place)
    number(write_round(tmp_path / "now.h5", tensors(12, seed=4)), 4)
    write_round(tmp_path / "root.h5", tensors(2, seed=9))
    return tmp_path


def test_a_table_of_all_methods(rounds):
    shown = works("score", rounds / "now.h5", "--method", "all").stdout
    for name in METHODS.names():
        assert f"\n{name} " in f"\n{shown}"
    assert "of 12" in shown
    assert "--root" in shown


def test_json_of_all_methods(rounds):
    ran = works("score", rounds / "now.h5", "--method", "all", "--json", "--jobs", 1)
    document = json.loads(ran.stdout)
    assert document["schema_version"] == 1
    found = {entry["method"]: entry for entry in document["methods"]}
    assert list(found) == METHODS.names()
    assert "--history" in found["fldetector"]["not_applicable"]
    for name in ("lof", "lomar", "ecod"):
        alone = json.loads(works("score", rounds / "now.h5", "--method", name, "--json").stdout)
        assert found[name] == alone


def test_a_folder_of_score_files(rounds):
    beside = ("--history", rounds / "rounds", "--root", rounds / "root.h5")
    where = ("--method", "all", *beside, "-o", rounds / "scores")
    works("score", rounds / "now.h5", *where)
    # No loss can be had of these rounds, which do not say what model they are of.
    able = set(METHODS.names()) - {"zeno"}
    assert {p.stem for p in (rounds / "scores").iterdir()} == able
    for name in able:
        scores = read_scores(rounds / "scores" / f"{name}.h5")
        assert scores.method == name
        assert len(scores.clients) == 12
    check_refused(lomar("score", rounds / "now.h5", *where), 4, "lomar-auto.h5", "-f")
    works("score", rounds / "now.h5", *where, "-f")
    works("score", rounds / "now.h5", *where[:-1], rounds / "csv", "--format", "csv")
    assert (rounds / "csv" / "dnc.csv").read_text().startswith("client,")


def test_options_reach_the_methods_that_take_them(rounds):
    told = ("--assume-malicious", "2", "--set", "iterations=3", "--seed", 5)
    ran = works("score", rounds / "now.h5", "--method", "all", *told, "--json")
    found = {entry["method"]: entry for entry in json.loads(ran.stdout)["methods"]}
    assert found["dnc"]["options"]["iterations"] == 3
    assert "the 2 assumed malicious (as told)" in found["dnc"]["notes"][0]


@pytest.mark.parametrize(
    ("code", "mentions", "options"),
    [
        (2, ["--iteration", "no method"], ["--method", "all", "--set", "iteration=3"]),
        (2, ["--assume-malicious 13"], ["--method", "all", "--assume-malicious", "13"]),
        (2, ["-o FOLDER"], ["--method", "all", "-o", "-"]),
        (2, ["a folder"], ["--method", "all", "-o", "scores.h5"]),
        (2, ["--epsilon"], ["--method", "all", "--epsilon", "low"]),
        (2, ["--root ROUND"], ["--method", "fltrust"]),
        (2, ["--history FOLDER"], ["--method", "fldetector"]),
        (2, ["itself"], ["--method", "fldetector", "--history", "now.h5"]),
        (3, ["gone.h5", "no such file"], ["--method", "fldetector", "--history", "gone.h5"]),
        (2, ["no round files"], ["--method", "fldetector", "--history", "empty"]),
        (3, ["wide.h5", "fc.weight", "shape"], ["--method", "fltrust", "--root", "wide.h5"]),
        (3, ["nan.h5", "NaN"], ["--method", "fltrust", "--root", "nan.h5"]),
    ],
)
def test_refusals(rounds, monkeypatch, code, mentions, options):
    monkeypatch.chdir(rounds)
    (rounds / "empty").mkdir()
    write_round(rounds / "wide.h5", tensors(2, features=5))
    bad = tensors(2)
    bad["fc.bias"][0, 0] = np.nan
    write_round(rounds / "nan.h5", bad)
    refused(rounds, code, mentions, "score", "now.h5", *options)


def test_history_is_sorted_and_of_the_past(rounds):
    """Files by hand, or their folder with this round and a later one in it: the same."""
    folder = rounds / "rounds"
    plain = [arg for name in "bac" for arg in ("--history", folder / f"{name}.h5")]
    by_hand = works("score", rounds / "now.h5", "-m", "fldetector", *plain, "--json").stdout
    number(write_round(folder / "later.h5", tensors(12, seed=8)), 5)
    (folder / "now.h5").write_bytes((rounds / "now.h5").read_bytes())
    works("score", rounds / "now.h5", "-m", "lomar", "-o", folder / "scores.h5")
    options = ("-m", "fldetector", "--history", folder, "--json")
    assert works("score", rounds / "now.h5", *options).stdout == by_hand
    later = ("-m", "fldetector", "--history", folder / "later.h5")
    check_refused(lomar("score", rounds / "now.h5", *later), 2, "later than round 4")


def test_provenance_names_what_was_read(rounds):
    options = ("-m", "zeno-plus", "--root", rounds / "root.h5", "--seed", 3)
    works("score", rounds / "now.h5", *options, "-o", rounds / "scores.h5")
    step = read_scores(rounds / "scores.h5").provenance[-1]
    with open_round(rounds / "root.h5") as root:
        assert step["inputs"]["root"] == root.sha256
    assert step["seed"] == 3


def test_flagged_by_any_method(rounds):
    ran = lomar("score", rounds / "now.h5", "--method", "all", "--fail-on-flagged")
    assert ran.exit_code == 10


@pytest.mark.parametrize("method", ["krum", "spectral", "krum-foolsgold"])
def test_an_oracle_run_differs_from_a_blind_one(method, rounds, tmp_path):
    """Both reckon with 2 of 12 here: who was told so is on record."""
    said = []
    for told in ((), ("--assume-malicious", "2")):
        out = tmp_path / "scores.h5"
        works("score", rounds / "now.h5", "--method", method, *told, "-f", "-o", out)
        options = read_scores(out).options
        step = json.loads(works("info", out, "--json").stdout)["provenance"][-1]
        assert step["options"] == {"method": method, **options}
        said.append((options["assume_malicious"], options["assume_malicious_given"]))
    assert said == [(2, False), (2, True)]


def test_a_rule_is_no_method(rounds):
    refused(
        rounds, 2, ["lomar aggregate --rule median"], "score", rounds / "now.h5", "-m", "median"
    )


def test_jobs_change_no_number(rounds):
    """Methods side by side in threads give what they give in turn, to the byte."""
    for jobs in (1, 3):
        works("score", rounds / "now.h5", "--method", "all", "-j", jobs, "-o", rounds / f"j{jobs}")
    names = sorted(path.name for path in (rounds / "j1").iterdir())
    assert names == sorted(path.name for path in (rounds / "j3").iterdir())
    assert len(names) > 10
    for name in names:
        one, many = rounds / "j1" / name, rounds / "j3" / name
        assert one.read_bytes() == many.read_bytes(), name
