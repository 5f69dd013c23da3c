"""The types that clients sent, after stages that make a round from another."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from lomar_cli.files.h5 import open_read
from lomar_cli.files.stored_types import read_types
from lomar_cli.stages.dump import dump
from tests.commands import works
from tests.importers.test_round_trip import as_safetensors, by_their_own_reader


@pytest.fixture
def sent(tmp_path):
    """Files of six clients of bfloat16 numbers and a counter, in two rounds; and their bytes."""
    rng = np.random.default_rng(0)
    made = {}
    for number in range(6):
        upper = rng.normal(size=(4, 5)).astype(np.float32).view(np.uint32) >> 16
        count = np.int64(100).tobytes()
        one = {"w": ("BF16", [4, 5], upper.astype(np.uint16).tobytes()), "n": ("I64", [], count)}
        made[f"c{number}"] = one
        (tmp_path / f"c{number}.safetensors").write_bytes(as_safetensors(one))
    files = sorted(tmp_path.glob("c*"))
    for name, some in (("r", files), ("a", files[:3]), ("b", files[3:])):
        dump(some, tmp_path / f"{name}.h5", differences=True, output_layer="none")
    return made


def noted(path):
    with open_read(path, "round") as reader:
        return read_types(reader)


@pytest.mark.parametrize("rounds", [["r.h5"], ["a.h5", "b.h5"]], ids=["one", "several"])
def test_a_filter_keeps_them(rounds, sent, tmp_path):
    paths = [tmp_path / name for name in rounds]
    works("score", *paths, "--method", "norm-threshold", "-o", tmp_path / "s.csv")
    with (tmp_path / "s.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        row["keep"] = "true" if row["client"] != "c2" else "false"
    with (tmp_path / "s.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, rows[0])
        table.writeheader()
        table.writerows(rows)
    works("filter", *paths, "--scores", tmp_path / "s.csv", "-o", tmp_path / "kept.h5")
    assert noted(tmp_path / "kept.h5") == {"w": "bfloat16", "n": "int64"}
    out = tmp_path / "out"
    works("export", tmp_path / "kept.h5", "--folder", "--format", "safetensors", "-o", out)
    assert {path.stem for path in out.glob("*.safetensors")} == set(sent) - {"c2"}
    for client in set(sent) - {"c2"}:
        found = by_their_own_reader(out / f"{client}.safetensors", "safetensors")
        assert {n: found[n] for n in sent[client]} == sent[client]


def test_of_files_that_differ_what_they_agree_on_is_kept(sent, tmp_path):
    files = []
    for client, one in sent.items():
        if client in ("c3", "c4", "c5"):
            upper = np.frombuffer(one["w"][2], np.uint16).astype(np.uint32) << 16
            one = {**one, "w": ("F32", [4, 5], upper.tobytes())}
            files.append(tmp_path / f"{client}.safetensors")
            files[-1].write_bytes(as_safetensors(one))
    dump(files, tmp_path / "b.h5", differences=True, output_layer="none", force=True)
    rounds = [tmp_path / "a.h5", tmp_path / "b.h5"]
    works("score", *rounds, "--method", "none", "-o", tmp_path / "s.h5")
    works("filter", *rounds, "--scores", tmp_path / "s.h5", "-o", tmp_path / "kept.h5")
    assert noted(tmp_path / "kept.h5") == {"n": "int64"}


def test_an_attack_keeps_those_that_hold_of_everyone(sent, tmp_path):
    out = tmp_path / "attacked.h5"
    works("attack", "gaussian-noise", tmp_path / "r.h5", "--convert", 2, "-o", out)
    assert noted(out) == {"n": "int64"}
    works("attack", "free-rider-zero", tmp_path / "r.h5", "--convert", 2, "-f", "-o", out)
    assert noted(out) == {"w": "bfloat16", "n": "int64"}
