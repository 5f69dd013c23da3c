"""``validate`` over several files: each by itself, and what they say of one another."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest

from lomar_cli.files.provenance import extend
from tests.commands import lomar, refused, works
from tests.making import change, tensors, write_base, write_round, write_verdict


def checked(*words):
    """By file name: what --json says; and the exit code."""
    ran = lomar("validate", *words, "--json")
    files = json.loads(ran.stdout)["files"]
    assert ran.exit_code == (0 if all(entry["valid"] for entry in files) else 3)
    return {entry["file"].split("/")[-1]: entry for entry in files}


def inputs(entry):
    return {
        (i["stage"], i["role"]): i["file"] and i["file"].split("/")[-1] for i in entry["inputs"]
    }


def test_a_chain_is_followed(untrained):
    found = checked(untrained.folder)
    assert set(found) == {"split.h5", "poisoned.h5", "round.h5", "scores.h5", "model.h5"}
    assert inputs(found["poisoned.h5"])["attack label-flip", "split"] == "split.h5"
    assert inputs(found["scores.h5"])["score", "round"] == "round.h5"
    assert inputs(found["model.h5"])["aggregate", "scores"] == "scores.h5"
    assert all(entry["warnings"] == [] for entry in found.values())
    alone = checked(untrained.scores)
    assert inputs(alone["scores.h5"])["score", "round"] is None
    shown = works("validate", untrained.folder, "-v")
    assert "1 of 1 inputs given" in shown.stdout
    assert "round.h5" in shown.stderr


def test_every_bad_file_is_told_and_the_others_too(untrained, tmp_path):
    for name in ("round", "model", "scores"):
        shutil.copy(getattr(untrained, name), tmp_path)
    content = bytearray((tmp_path / "model.h5").read_bytes())
    with h5py.File(tmp_path / "model.h5") as handle:
        content[handle["parameters/fc.bias"].id.get_offset()] ^= 1
    (tmp_path / "model.h5").write_bytes(content)
    (tmp_path / "cut.h5").write_bytes((tmp_path / "round.h5").read_bytes()[:5000])
    found = checked(tmp_path)
    assert {name for name, entry in found.items() if not entry["valid"]} == {"model.h5", "cut.h5"}
    lines = lomar("validate", tmp_path).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["invalid", "invalid", "ok", "ok"]


def test_scores_of_other_clients_than_their_rounds(tmp_path):
    path = write_round(tmp_path / "r.h5", 3)
    verdict = write_verdict(tmp_path / "v.csv", path, [])
    assert checked(path, verdict)["v.csv"]["valid"]
    verdict.write_text(verdict.read_text().replace("c1,", "other,"))
    found = checked(path, verdict)
    assert not found["v.csv"]["valid"]
    assert "r.h5" in found["v.csv"]["error"]
    assert found["r.h5"]["valid"]


def test_a_round_of_other_parameters_than_its_model(tmp_path):
    one = {name: array[0] for name, array in tensors(1).items()}
    model = write_base(tmp_path / "m.h5", one)
    base = json.loads(works("info", model, "--json").stdout)["parameters_sha256"]
    good = write_round(tmp_path / "good.h5", 3, base_sha256=base)
    odd = write_round(tmp_path / "odd.h5", tensors(3, features=5), base_sha256=base)
    found = checked(model, good, odd)
    assert [found[name]["valid"] for name in ("m.h5", "good.h5", "odd.h5")] == [True, True, False]
    assert "m.h5" in found["odd.h5"]["error"]


def test_a_past_that_is_not_told(tmp_path):
    """A file whose chain lacks what led to its input: allowed, and said."""
    first, second = tmp_path / "first.h5", tmp_path / "second.h5"
    write_base(first, {"w": np.ones(2)}, provenance=extend("init", {"x": 1}, {}))
    digest = json.loads(works("info", first, "--json").stdout)["sha256"]
    write_base(second, {"w": np.zeros(2)}, provenance=extend("aggregate", {}, {"model": digest}))
    assert "first.h5" in checked(first, second)["second.h5"]["warnings"][0]
    assert "first.h5" in works("validate", first, second).stderr
    assert checked(second)["second.h5"]["warnings"] == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_client_that_is_not_finite_is_named(value, tmp_path):
    made = tensors(9)
    made["fc.bias"][4, 1] = value
    entry = checked(write_round(tmp_path / "r.h5", made))["r.h5"]
    assert entry["valid"]
    assert "c4" in entry["warnings"][0]
    made["fc.weight"][:] = value
    assert "and 4 more" in checked(write_round(tmp_path / "r.h5", made))["r.h5"]["warnings"][0]


def test_a_folder_without_files(tmp_path):
    refused(tmp_path, 3, [tmp_path.name, ".h5"], "validate", tmp_path)


def test_a_damaged_provenance(tmp_path):
    path = write_round(tmp_path / "r.h5", 3)

    def edit(handle):
        del handle["provenance"]
        handle["provenance"] = np.bytes_(b"[1]")

    change(path, edit)
    assert "provenance" in checked(path)["r.h5"]["error"]
