"""``diff``: nothing for the same content in another form; each thing that was changed, by name."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.commands import lomar, refused, works
from tests.files.test_archived import ARCHIVE
from tests.making import change, put, tensors, write_base, write_json, write_round


def found(a, b, *options):
    """(about, field) of every difference, and all of them."""
    ran = lomar("diff", a, b, "--json", *options)
    document = json.loads(ran.stdout)
    assert ran.exit_code == (0 if document["same"] else 1)
    assert document["same"] == (not document["differences"])
    return {(entry["about"], entry["field"]): entry for entry in document["differences"]}


@pytest.mark.parametrize("path", sorted(ARCHIVE.glob("[!e]*")), ids=lambda path: path.name)
def test_a_file_and_itself(path):
    assert found(path, path) == {}
    assert works("diff", path, path).stdout == ""


@pytest.mark.parametrize("kind", ["csv", "tsv", "json"])
def test_scores_in_another_format_are_the_same(kind):
    assert found(ARCHIVE / "scores.h5", ARCHIVE / f"scores.{kind}") == {}


def test_the_layout_makes_no_difference(tmp_path):
    """The same round with the clients in another order differs by that, and by nothing else."""
    made = tensors(4)
    a = write_round(tmp_path / "a.h5", made, ["a", "b", "c", "d"])
    turned = {name: array[::-1].copy() for name, array in made.items()}
    b = write_round(tmp_path / "b.h5", turned, ["d", "c", "b", "a"])
    assert set(found(a, b)) == {("clients", "order")}


def test_rounds(tmp_path):
    made = tensors(4)
    a = write_round(tmp_path / "a.h5", made, ["a", "b", "c", "d"])
    other = {name: array.copy() for name, array in made.items()}
    other["fc.weight"][2, 1, 3] += 0.5
    other["fc.weight"][1, 0, 0] += 0.125
    other["fc.bias"][3, 0] = np.nan
    b = write_round(tmp_path / "b.h5", other, ["a", "b", "c", "x"], [10, 11, 10, 10])
    differ = found(a, b)
    assert set(differ) == {
        ("clients", "only in one"),
        ("clients", "num_examples of b"),
        ("parameters", "fc.weight"),
    }
    entry = differ["parameters", "fc.weight"]
    assert entry["largest"] == pytest.approx(0.5)
    assert entry["at"] == "c"
    assert entry["a"] == "2 of 3 clients"
    assert ("parameters", "fc.weight") in found(a, b, "--tolerance", "0.4")
    assert ("parameters", "fc.weight") not in found(a, b, "--tolerance", "0.6")
    shown = lomar("diff", a, b).stdout
    assert "fc.weight: 2 of 3 clients differ, most by 0.5 (c)" in shown


def test_nan_is_nan_and_no_number(tmp_path):
    made = tensors(3)
    made["fc.bias"][0, 0] = np.nan
    made["fc.bias"][1, 0] = np.inf
    a = write_round(tmp_path / "a.h5", made)
    assert found(a, a) == {}
    made["fc.bias"][0, 0] = 1
    b = write_round(tmp_path / "b.h5", made)
    entry = found(a, b, "--tolerance", "1e300")["parameters", "fc.bias"]
    assert (entry["largest"], entry["at"]) == (None, "c0")
    assert "not finite" in lomar("diff", a, b).stdout


def test_models(tmp_path):
    a = write_base(tmp_path / "a.h5", {"w": np.arange(4.0), "v": np.ones((2, 2))}, round_number=1)
    b = write_base(tmp_path / "b.h5", {"w": np.arange(4.0) + 1, "v": np.ones(4)}, round_number=2)
    differ = found(a, b)
    fields = {("settings", "round_number"), ("parameters", "w"), ("parameters", "v")}
    assert set(differ) == fields
    assert differ["parameters", "w"]["largest"] == 1
    assert (differ["parameters", "v"]["a"], differ["parameters", "v"]["b"]) == (
        "float64 [2, 2]",
        "float64 [4]",
    )


def test_decisions(tmp_path):
    table = "client,suspicion,keep,mine\na,1,true,3\nb,2,false,4\n"
    (tmp_path / "a.csv").write_text(table)
    (tmp_path / "b.csv").write_text(table.replace("b,2,false,4", "b,2.5,true,4"))
    differ = found(tmp_path / "a.csv", tmp_path / "b.csv")
    assert set(differ) == {("decisions", "b"), ("columns", "suspicion")}
    assert (differ["decisions", "b"]["a"], differ["decisions", "b"]["b"]) == ("remove", "keep")
    assert differ["columns", "suspicion"]["largest"] == 0.5


def test_settings_of_a_method(round_file, tmp_path):
    for k in (2, 3):
        works("score", round_file, "-m", "lomar", "-k", k, "-o", tmp_path / f"{k}.h5")
    differ = found(tmp_path / "2.h5", tmp_path / "3.h5")
    assert differ["settings", "options"]["a"]["neighbors"] == "2"
    assert differ["provenance", "1 score: neighbors"]["b"] == "3"


def test_splits():
    differ = found(ARCHIVE / "split.h5", ARCHIVE / "poisoned.h5")
    client = differ["clients", "only in one"]["b"][0]
    assert ("samples", f"labels seen by {client}") in differ
    assert ("provenance", "stages") in differ


def test_truths_and_metrics(tmp_path):
    a = write_json(tmp_path / "a.json", {"malicious": ["x", "y"], "attack": "label-flip"})
    b = write_json(tmp_path / "b.json", {"malicious": ["y", "z"], "attack": "backdoor"})
    differ = found(a, b)
    assert set(differ) == {("clients", "only in one"), ("settings", "attack")}
    assert differ["clients", "only in one"]["a"] == ["x"]
    document = {"schema_version": 1, "detection": {"auc": 0.5, "flagged": 1}}
    a = write_json(tmp_path / "m.json", document)
    b = write_json(tmp_path / "n.json", {**document, "detection": {"auc": 0.75, "flagged": 1}})
    assert set(found(a, b)) == {("values", "detection.auc")}
    assert found(a, b, "--tolerance", "0.25") == {}


def test_two_kinds_and_bad_files(tmp_path):
    both = (ARCHIVE / "round.h5", ARCHIVE / "model.h5")
    refused(tmp_path, 2, ["round", "model", "one kind"], "diff", *both)
    (tmp_path / "bad.h5").write_bytes(b"x")
    refused(tmp_path, 3, ["bad.h5"], "diff", ARCHIVE / "round.h5", tmp_path / "bad.h5")


def test_what_strangers_wrote_is_shown_escaped(tmp_path):
    a = write_base(tmp_path / "a.h5", {"w": np.ones(2)})
    b = write_base(tmp_path / "b.h5", {"w": np.ones(2)})
    change(b, lambda handle: put(handle, "architecture", "\x1b[2J"))
    shown = lomar("diff", a, b).stdout
    assert "architecture" in shown
    assert "\x1b" not in shown
