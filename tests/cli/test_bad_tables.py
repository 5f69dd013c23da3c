"""Score tables and truths that do not fit, and labels or splits that are not the data's."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lomar_cli.files.round import open_round
from tests.commands import refused, works
from tests.making import change, put, replace, texts, write_json, write_round, write_verdict

HEAD = "client,suspicion,keep,round_sha256\n"
TABLES = {
    "no column client": ("suspicion,keep\n1,true\n", "client"),
    "no column keep": ("client,suspicion\na,1\n", "keep"),
    "no column suspicion": ("client,keep\na,true\n", "suspicion"),
    "a column twice": ("client,suspicion,keep,keep\na,1,true,false\n", "keep"),
    "empty": ("", "s.csv"),
    "no rows": (HEAD, "no clients"),
    "a short row": (HEAD + "a,1\n", "line 2"),
    "a long row": (HEAD + "a,1,true,x,y\n", "line 2"),
    "keep is a word": (HEAD + "a,1,maybe,x\n", "keep"),
    "suspicion is a word": (HEAD + "a,high,true,x\n", "suspicion"),
    "suspicion is missing": (HEAD + "a,,true,x\n", "suspicion"),
    "suspicion is nan": (HEAD + "a,nan,true,x\n", "suspicion"),
    "suspicion is infinite": (HEAD + "a,inf,true,x\n", "suspicion"),
    "suspicion overflows": (HEAD + "a,1e999,true,x\n", "suspicion"),
    "an id twice": (HEAD + "a,1,true,x\na,2,true,x\n", "twice"),
    "no id": (HEAD + ",1,true,x\n", "client"),
    "an id with an escape": (HEAD + "\x1b[31ma,1,true,x\n", "client"),
    "an id of two lines": (HEAD + '"a\nb",1,true,x\n', "client"),
    "two rounds": (HEAD + "a,1,true,x\nb,2,true,y\n", "round_sha256"),
    "an open quote": (HEAD + '"a,1,true,x\n', "table"),
    "a zero byte": (HEAD + "a\0,1,true,x\n", "s.csv"),
    "not JSON": ('{"clients": [', "JSON"),
    "JSON without clients": ('{"schema_version": 1}', "clients"),
    "a JSON list": ("[1]", "clients"),
    "JSON of no version": ('{"clients": []}', "schema_version"),
    "JSON of a newer version": ('{"schema_version": 2, "clients": []}', "upgrade"),
    "JSON rows that are no objects": ('{"schema_version": 1, "clients": [1]}', "clients"),
    "JSON of an endless depth": ("[" * 100_000, "JSON"),
}


@pytest.fixture
def truth(tmp_path):
    return write_json(tmp_path / "t.json", {"malicious": ["a"]})


@pytest.mark.parametrize("what", TABLES)
def test_a_table_that_does_not_hold(what, truth, round_file, tmp_path):
    text, mention = TABLES[what]
    path = tmp_path / "s.csv"
    path.write_text(text)
    refused(tmp_path, 3, ["s.csv", mention], "evaluate", "--scores", path, "--truth", truth)
    scored = ("--scores", path, "-o", tmp_path / "k.h5")
    refused(tmp_path, 3, ["s.csv", mention], "filter", round_file, *scored)


def test_a_table_that_is_no_text(truth, tmp_path):
    path = tmp_path / "s.csv"
    path.write_bytes(b"client,suspicion,keep\n\xff\xfe,1,true\n")
    refused(tmp_path, 3, ["s.csv"], "evaluate", "--scores", path, "--truth", truth)


def test_scores_of_another_round(round_file, tmp_path):
    other = write_round(tmp_path / "other.h5", 9)
    verdict = write_verdict(tmp_path / "v.csv", other, ["c1"])
    for command in ("filter", "aggregate"):
        scored = ("--scores", verdict, "-o", tmp_path / "out.h5")
        refused(tmp_path, 3, ["v.csv", "round_sha256"], command, round_file, *scored)


def test_scores_that_name_no_round(round_file, tmp_path):
    rows = "".join(f"c{n},0,true\n" for n in range(8))
    (tmp_path / "v.csv").write_text("client,suspicion,keep\n" + rows)
    for command in ("filter", "aggregate"):
        scored = ("--scores", tmp_path / "v.csv", "-o", tmp_path / "out.h5")
        refused(tmp_path, 3, ["v.csv", "round_sha256"], command, round_file, *scored)


def test_scores_of_other_clients_of_that_round(round_file, tmp_path):
    with open_round(round_file) as found:
        digest = found.sha256
    (tmp_path / "v.csv").write_text(f"{HEAD}c0,1,true,{digest}\n")
    scored = ("--scores", tmp_path / "v.csv", "-o", tmp_path / "out.h5")
    refused(tmp_path, 3, ["v.csv", "client"], "filter", round_file, *scored)


@pytest.mark.parametrize(
    ("document", "mention"),
    [
        ({"malicious": ["a", "stranger"]}, "'stranger'"),
        ({"malicious": ["a", "x", "y", "z"]}, "2 more"),
        ({"malicious": ["a", "a"]}, "twice"),
        ({"malicious": "a"}, "malicious"),
        ({"malicious": [1]}, "malicious"),
        ({"malicious": [["a"]]}, "malicious"),
        ({"guilty": ["a"]}, "malicious"),
        (["a"], "JSON object"),
        ({"malicious": ["\x1b[31m"]}, "malicious"),
    ],
)
def test_a_truth_that_does_not_fit(document, mention, tmp_path):
    (tmp_path / "s.csv").write_text("client,suspicion,keep\na,1,true\nb,2,false\n")
    truth = write_json(tmp_path / "t.json", document)
    both = ("--scores", tmp_path / "s.csv", "--truth", truth)
    refused(tmp_path, 3, ["t.json", mention], "evaluate", *both)


@pytest.mark.parametrize("text", ['{"malicious": ["a"', "", "malicious: a", "[" * 100_000])
def test_a_truth_that_is_no_json(text, tmp_path):
    (tmp_path / "s.csv").write_text("client,suspicion,keep\na,1,true\n")
    (tmp_path / "t.json").write_text(text)
    both = ("--scores", tmp_path / "s.csv", "--truth", tmp_path / "t.json")
    refused(tmp_path, 3, ["t.json", "JSON"], "evaluate", *both)


def attack(split, folder, code, mentions):
    words = ("attack", "label-flip", split, "--flip", "1:7", "--malicious", "1")
    refused(folder, code, mentions, *words, "-o", folder / "out.h5")


def attribute(name, value):
    return lambda handle: put(handle, name, value)


def data(name, values):
    return lambda handle: replace(handle, name, values)


def more_labels(handle):
    replace(handle, "labels", texts([f"l{n}" for n in range(100)]))


def flipped_to_no_label(handle):
    more_labels(handle)
    for name, value in (("position", 0), ("original", 0), ("label", 50)):
        replace(handle, f"overlay/{name}", np.array([value]))


ODD_SPLITS = {
    "of other data": (attribute("dataset_sha256", "0" * 64), "dataset_sha256"),
    "of more data": (attribute("train_size", 5000), "dataset"),
    "of unknown data": (attribute("dataset", "cats"), "dataset"),
    "of labels that the data has not": (more_labels, "labels"),
    "options that are no JSON": (attribute("options", "{"), "options"),
    "options that are no object": (attribute("options", "[1]"), "options"),
    "no size in the options": (attribute("options", "{}"), "options"),
    "a size that is a word": (attribute("options", '{"samples": "x"}'), "options"),
    "a size below zero": (attribute("options", '{"samples": -1}'), "options"),
    "a size beyond the data": (attribute("options", '{"samples": 9999}'), "options"),
    "an option that the scheme lacks": (attribute("options", '{"samples": 9, "x": 1}'), "options"),
    "an unknown scheme": (attribute("scheme", "magic"), "scheme"),
    "offsets that fall": (data("clients/offset", [0, 60, 30, *range(90, 361, 30)]), "offset"),
    "offsets that end early": (data("clients/offset", [*range(0, 360, 30), 359]), "offset"),
    "offsets that start late": (data("clients/offset", [1, *range(30, 361, 30)]), "offset"),
    "a sample beyond the data": (data("samples/index", [1438] * 360), "samples/index"),
    "a sample below zero": (data("samples/index", [-1] * 360), "samples/index"),
    "overlays of two lengths": (data("overlay/label", [1]), "overlay"),
}


@pytest.mark.parametrize("what", ODD_SPLITS)
def test_an_odd_split(what, split, tmp_path):
    edit, mention = ODD_SPLITS[what]
    path = tmp_path / "split.h5"
    path.write_bytes(split.split.read_bytes())
    change(path, edit)
    attack(path, tmp_path, 3, ["split.h5", mention])


@pytest.mark.parametrize(
    ("edit", "mention"),
    [
        (attribute("dataset_sha256", "0" * 64), "dataset_sha256"),
        (more_labels, "labels"),
        (flipped_to_no_label, "labels"),
    ],
)
def test_training_on_an_odd_split(edit, mention, split, tmp_path):
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    path = tmp_path / "split.h5"
    path.write_bytes(split.split.read_bytes())
    change(path, edit)
    output = ("--epochs", 1, "-o", tmp_path / "r.h5")
    refused(tmp_path, 3, ["split.h5", mention], "train", path, *output)


@pytest.mark.parametrize(
    ("position", "label", "mention"),
    [
        ([360], [1], "position"),
        ([-1], [1], "position"),
        ([5, 5], [1, 1], "position"),
        ([5], [10], "label"),
        ([5], [-1], "label"),
    ],
)
def test_an_overlay_out_of_range(position, label, mention, split, tmp_path):
    path = tmp_path / "split.h5"
    path.write_bytes(split.split.read_bytes())

    def edit(handle):
        replace(handle, "overlay/position", np.array(position))
        replace(handle, "overlay/original", np.zeros(len(position), int))
        replace(handle, "overlay/label", np.array(label))

    change(path, edit)
    refused(tmp_path, 3, ["split.h5", f"overlay/{mention}"], "info", path)


def test_a_foreign_byte_order_mark_and_missing_columns_are_taken(tmp_path, truth):
    text = "\ufeffclient,keep,suspicion\na,TRUE,1\nb,0,2\n"
    (tmp_path / "s.csv").write_text(text, "utf-8")
    both = ("--scores", tmp_path / "s.csv", "--truth", truth, "--json")
    found = json.loads(works("evaluate", *both).stdout)["detection"]
    assert (found["clients"], found["flagged"]) == (2, 1)
