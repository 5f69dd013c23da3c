"""``export``: what other programs read, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.files.model import parameters_sha256, read_model
from lomar_cli.files.round import open_round
from lomar_cli.files.scores import read_scores
from tests.commands import refused, works
from tests.making import columns_of, read_updates, tensors, write_base, write_round


def test_a_round_becomes_one_npz(round_file, tmp_path):
    ran = works("export", round_file, "-o", tmp_path / "all.npz")
    assert "8 clients in one file" in ran.stderr
    with np.load(tmp_path / "all.npz", allow_pickle=False) as found:
        assert set(found) == {"fc.weight", "fc.bias", "client_ids", "num_examples"}
        assert found["num_examples"].tolist() == [10] * 8
        assert found["client_ids"].tolist() == [f"c{n}" for n in range(8)]
        for name, array in read_updates(round_file).items():
            np.testing.assert_array_equal(found[name], array)


def test_a_folder_of_clients_comes_back_as_the_same_round(round_file, tmp_path):
    works("export", round_file, "-o", tmp_path / "clients")
    names = sorted(path.name for path in (tmp_path / "clients").iterdir())
    assert names == [f"c{n}.npz" for n in range(8)]
    works("dump", tmp_path / "clients", "--differences", "-o", tmp_path / "again.h5")
    before, after = read_updates(round_file), read_updates(tmp_path / "again.h5")
    assert list(before) == list(after)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    with open_round(round_file) as one, open_round(tmp_path / "again.h5") as two:
        assert list(one.head.clients) == list(two.head.clients)
        assert one.head.output == two.head.output


def test_the_bytes_follow_from_the_round_alone(round_file, tmp_path):
    works("export", round_file, "-o", tmp_path / "a.npz")
    works("export", round_file, "-o", tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_force_replaces_a_folder_of_clients(round_file, tmp_path):
    target = tmp_path / "clients"
    works("export", round_file, "-o", target)
    two = write_round(tmp_path / "two.h5", 2)
    refused(tmp_path, 4, ["clients"], "export", two, "-o", target)
    works("export", two, "-o", target, "-f")
    assert sorted(path.name for path in target.iterdir()) == ["c0.npz", "c1.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clients", "round.h5", "two.h5"]


def test_force_spares_a_folder_that_holds_anything_else(round_file, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    refused(tmp_path, 2, ["mine"], "export", round_file, "-o", tmp_path / "mine", "-f")


def test_force_spares_a_file_where_a_folder_is_meant(round_file, tmp_path):
    (tmp_path / "mine").write_text("years")
    refused(tmp_path, 2, ["mine"], "export", round_file, "-o", tmp_path / "mine", "-f")


@pytest.mark.parametrize("output", ["no/such/clients", "no/such/all.npz"])
def test_a_missing_parent_folder_is_a_matter_of_usage(output, round_file, tmp_path):
    refused(tmp_path, 2, [output], "export", round_file, "-o", tmp_path / output)


@pytest.mark.parametrize("client", ["../up", "a/b", ".hidden", "x" * 250])
def test_a_client_cannot_choose_a_path(client, tmp_path):
    path = write_round(tmp_path / "r.h5", 2, clients=["fine", client])
    refused(tmp_path, 2, ["npz"], "export", path, "-o", tmp_path / "clients")
    works("export", path, "-o", tmp_path / "all.npz")


def test_a_model_becomes_npz_that_serves_as_base_model(tmp_path):
    base = {name: array[0] for name, array in tensors(1).items()}
    write_base(tmp_path / "m.h5", base)
    works("export", tmp_path / "m.h5", "-o", tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz", allow_pickle=False) as found:
        assert parameters_sha256(dict(found)) == read_model(tmp_path / "m.h5").sha256


@pytest.mark.parametrize("kind", ["csv", "tsv", "json"])
def test_scores_go_out_and_come_back(kind, untrained, tmp_path):
    out, back = tmp_path / f"s.{kind}", tmp_path / "back.h5"
    works("export", untrained.scores, "-o", out)
    works("export", out, "-o", back)
    before, after = read_scores(untrained.scores), read_scores(back)
    assert columns_of(after) == columns_of(before)
    assert after.round_sha256 == before.round_sha256
    assert works("export", untrained.scores, "--format", kind, "-o", "-").stdout == out.read_text()


@pytest.mark.parametrize("kind", ["csv", "tsv", "json"])
def test_exported_scores_serve_in_place_of_the_original(kind, untrained, tmp_path):
    works("export", untrained.scores, "-o", tmp_path / f"s.{kind}")
    scored = ("--scores", tmp_path / f"s.{kind}", "-o", tmp_path / "m.h5")
    works("aggregate", untrained.round, *scored)
    assert read_model(tmp_path / "m.h5").sha256 == read_model(untrained.model).sha256


@pytest.mark.parametrize(
    ("source", "output", "options"),
    [
        ("split", "x.npz", []),
        ("model", "x.csv", []),
        ("round", "x", ["--format", "csv"]),
        ("scores", "x.txt", []),
        ("scores", "x", ["--format", "npz"]),
        ("round", "-", []),
    ],
)
def test_what_cannot_be_exported_so_is_refused(source, output, options, untrained, tmp_path):
    target = output if output == "-" else tmp_path / output
    code = 3 if (source, output) in {("split", "x.npz"), ("round", "-")} else 2
    refused(tmp_path, code, [], "export", getattr(untrained, source), *options, "-o", target)
