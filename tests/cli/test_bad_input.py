"""Damaged, foreign and ill-fitting files: exit 3, one line that names them, nothing written."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from lomar_cli.files import h5
from lomar_cli.files.round import client_digest
from tests.commands import check_refused, lomar, refused
from tests.making import change, replace, tensors, texts, write_base, write_json, write_round

# Every command that reads a file as its main input, with what else it needs.
READERS = {
    "attack": ["attack", "label-flip", "FILE", "--flip", "1:7", "--malicious", "1", "-o", "OUT"],
    "train": ["train", "FILE", "-o", "OUT"],
    "score": ["score", "FILE"],
    "filter": ["filter", "FILE", "--scores", "SCORES", "-o", "OUT"],
    "aggregate": ["aggregate", "FILE", "--from-zero", "-o", "OUT"],
    "evaluate": ["evaluate", "FILE", "--split", "SPLIT"],
    "export": ["export", "FILE", "-o", "OUT"],
    "info": ["info", "FILE"],
}
SEALED_KINDS = ("round", "split", "scores", "model")


@pytest.fixture
def reader(request, untrained, tmp_path):
    """Run a reading command on a file."""
    places = {"SCORES": untrained.scores, "SPLIT": untrained.split, "OUT": tmp_path / "out.csv"}

    def run(name, file, code, mentions):
        if name == "train":
            pytest.importorskip("torch", reason="training needs the extra 'train'")
        words = [file if word == "FILE" else places.get(word, word) for word in READERS[name]]
        return refused(tmp_path, code, mentions, *words)

    return run


@pytest.mark.parametrize("name", READERS)
def test_a_missing_file(name, reader, tmp_path):
    reader(name, tmp_path / "gone.h5", 3, ["gone.h5", "no such file"])


@pytest.mark.parametrize("name", READERS)
def test_a_folder_in_place_of_a_file(name, reader, tmp_path):
    (tmp_path / "folder.h5").mkdir()
    reader(name, tmp_path / "folder.h5", 3, ["folder.h5"])


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x89HDF\r\n\x1a\n", b"\xff\xfe\x00binary"])
def test_what_is_no_hdf5(name, content, reader, tmp_path):
    (tmp_path / "bad.h5").write_bytes(content)
    reader(name, tmp_path / "bad.h5", 3, ["bad.h5"])


@pytest.mark.parametrize("kind", SEALED_KINDS)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.99])
def test_a_file_cut_short(kind, share, untrained, tmp_path):
    whole = getattr(untrained, kind).read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: int(len(whole) * share)])
    refused(tmp_path, 3, ["cut.h5"], "info", tmp_path / "cut.h5")


@pytest.mark.parametrize("name", READERS)
def test_hdf5_of_another_program(name, reader, tmp_path):
    with h5py.File(tmp_path / "keras.h5", "w") as handle:
        handle["model_weights"] = np.ones(3)
    # Models of other programs are evaluated, if it is known how they are built.
    reader(name, tmp_path / "keras.h5", 3, ["keras.h5", "arch" if name == "evaluate" else "format"])


@pytest.mark.parametrize("kind", SEALED_KINDS)
def test_a_newer_version_asks_for_an_upgrade(kind, untrained, tmp_path):
    path = tmp_path / "new.h5"
    path.write_bytes(getattr(untrained, kind).read_bytes())
    newer = h5.FORMAT_VERSION + 1
    change(path, lambda handle: handle.attrs.__setitem__("format_version", newer))
    refused(tmp_path, 3, ["new.h5", "format_version", "upgrade"], "info", path)


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("attack", "round", "lomar/split"),
        ("train", "round", "lomar/split"),
        ("score", "split", "lomar/round"),
        ("filter", "model", "lomar/round"),
        ("aggregate", "scores", "lomar/round"),
    ],
)
def test_the_wrong_kind_of_file(name, given, wanted, reader, untrained):
    path = getattr(untrained, given)
    reader(name, path, 3, [path.name, f"lomar/{given}", wanted])


def test_a_round_is_no_model(reader, untrained):
    reader("evaluate", untrained.round, 3, [untrained.round.name, "a model is needed"])


@pytest.mark.parametrize("kind", SEALED_KINDS)
def test_every_attribute_is_needed(kind, untrained, tmp_path):
    whole = getattr(untrained, kind).read_bytes()
    with h5py.File(getattr(untrained, kind)) as handle:
        names = set(handle.attrs) - {"parameters_sha256"}
    assert len(names) > 5
    path = tmp_path / "lacks.h5"
    for name in names:
        path.write_bytes(whole)
        change(path, lambda handle, name=name: handle.attrs.__delitem__(name), seal=False)
        if name != "content_sha256":
            change(path, lambda handle: None)
        check_refused(lomar("info", path), 3, "lacks.h5", name)


@pytest.mark.parametrize("kind", SEALED_KINDS)
def test_every_attribute_has_its_type(kind, untrained, tmp_path):
    whole = getattr(untrained, kind).read_bytes()
    path = tmp_path / "odd.h5"
    with h5py.File(getattr(untrained, kind)) as handle:
        names = set(handle.attrs) - {"parameters_sha256", "generator", "content_sha256"}
    for name in names:
        for value in (np.ones(3), h5py.Empty("f4"), np.bytes_(b"\xff\xfe")):
            path.write_bytes(whole)
            change(path, lambda h, n=name, v=value: h.attrs.__setitem__(n, v), seal=False)
            check_refused(lomar("info", path), 3, "odd.h5")


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("round", "clients/id"),
        ("round", "clients/num_examples"),
        ("round", "clients/sha256"),
        ("round", "updates"),
        ("split", "labels"),
        ("split", "clients/offset"),
        ("split", "samples/index"),
        ("split", "overlay/label"),
        ("scores", "columns/keep"),
        ("scores", "columns/suspicion"),
        ("scores", "notes"),
        ("model", "parameters"),
    ],
)
def test_a_missing_data_set(kind, field, untrained, tmp_path):
    path = tmp_path / "lacks.h5"
    path.write_bytes(getattr(untrained, kind).read_bytes())
    change(path, lambda handle: handle.__delitem__(field))
    refused(tmp_path, 3, ["lacks.h5", field], "info", path)


ODD_ROUNDS = {
    "ids of two dimensions": ("clients/id", [texts("abcdefgh")], "clients/id"),
    "ids that are numbers": ("clients/id", np.arange(8), "clients/id"),
    "ids that are no UTF-8": ("clients/id", texts([b"\xff%d" % n for n in range(8)]), "clients/id"),
    "ids twice": ("clients/id", texts("abadefgh"), "clients/id"),
    "an empty id": ("clients/id", texts(["", *"bcdefgh"]), "clients/id"),
    "an id with an escape": ("clients/id", texts(["\x1b[31ma", *"bcdefgh"]), "clients/id"),
    "an id of two lines": ("clients/id", texts(["a\nb", *"bcdefgh"]), "clients/id"),
    "an endless id": ("clients/id", texts(["a" * 256, *"bcdefgh"]), "clients/id"),
    "too few counts": ("clients/num_examples", np.ones(7, int), "clients/num_examples"),
    "negative counts": ("clients/num_examples", -np.ones(8, int), "clients/num_examples"),
    "counts in floats": ("clients/num_examples", np.ones(8), "clients/num_examples"),
    "too few rows": ("updates/fc.weight", np.ones((7, 3, 4), "f4"), "fc.weight"),
    "a scalar update": ("updates/fc.weight", np.float32(1), "fc.weight"),
    "empty parameters": ("updates/fc.weight", np.ones((8, 3, 0), "f4"), "fc.weight"),
    "integer updates": ("updates/fc.weight", np.ones((8, 3, 4), int), "fc.weight"),
    "a bias of other labels": ("updates/fc.bias", np.ones((8, 4), "f4"), "output_bias"),
    "labels that do not fit": ("labels", texts("a"), "labels"),
}


@pytest.mark.parametrize("what", ODD_ROUNDS)
def test_an_odd_round(what, round_file, tmp_path):
    field, values, mention = ODD_ROUNDS[what]

    def edit(handle):
        if field not in handle:
            handle[field] = texts("x")
        replace(handle, field, values)

    change(round_file, edit)
    refused(tmp_path, 3, ["round.h5", mention], "score", round_file)
    refused(tmp_path, 3, ["round.h5", mention], "info", round_file)


def test_zero_clients(tmp_path):
    made = {name: array[:0] for name, array in tensors(2).items()}
    path = write_round(tmp_path / "none.h5", made)
    refused(tmp_path, 3, ["none.h5", "no clients"], "score", path)


def test_an_update_that_was_changed_is_named_by_its_client(round_file, tmp_path):
    def edit(handle):
        handle["updates/fc.weight"][3, 0, 0] += 1

    change(round_file, edit)
    refused(tmp_path, 3, ["round.h5", "c3"], "score", round_file)


def test_changes_that_are_sealed_properly_are_no_damage(round_file):
    def edit(handle):
        handle["updates/fc.weight"][3, 0, 0] += 1
        arrays = {name: handle[f"updates/{name}"][:] for name in ("fc.weight", "fc.bias")}
        handle["clients/sha256"][3] = client_digest(arrays, 3)

    change(round_file, edit)
    assert lomar("score", round_file).exit_code == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_is_not_finite(value, split, tmp_path):
    path = write_base(
        tmp_path / "nan.h5", {"fc.weight": np.full((3, 4), value), "fc.bias": np.ones(3)}
    )
    refused(tmp_path, 3, ["nan.h5", "fc.weight"], "evaluate", path, "--split", split.split)
    np.savez(tmp_path / "c.npz", **{"fc.weight": np.ones((3, 4)), "fc.bias": np.ones(3)})
    options = ("--base-model", path, "-o", tmp_path / "r.h5")
    refused(tmp_path, 3, ["nan.h5", "fc.weight"], "dump", tmp_path / "c.npz", *options)


def test_a_model_of_unknown_architecture_cannot_be_evaluated(split, tmp_path):
    path = write_base(tmp_path / "m.h5", {"fc.weight": np.ones((3, 4)), "fc.bias": np.ones(3)})
    refused(tmp_path, 3, ["m.h5", "architecture"], "evaluate", path, "--split", split.split)


def test_a_model_that_does_not_fit_the_data(split, tmp_path):
    one = {"fc.weight": np.ones((3, 4)), "fc.bias": np.ones(3)}
    path = write_base(tmp_path / "m.h5", one, architecture="logistic")
    refused(tmp_path, 3, ["m.h5"], "evaluate", path, "--split", split.split)
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    init = ("--init", path, "-o", tmp_path / "r.h5")
    refused(tmp_path, 3, ["m.h5"], "train", split.split, *init)


@pytest.mark.parametrize("command", ["info", "validate"])
def test_json_cut_short(command, tmp_path):
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"malicious": ["a"]})[:-4])
    ran = lomar(command, path)
    assert ran.exit_code == 3
    assert "truth.json" in ran.stdout + ran.stderr
    assert "JSON" in ran.stdout + ran.stderr


def test_json_of_another_program(tmp_path):
    path = write_json(tmp_path / "package.json", {"name": "x"})
    refused(tmp_path, 3, ["package.json"], "info", path)
    refused(tmp_path, 3, ["list.json"], "info", write_json(tmp_path / "list.json", [1]))
