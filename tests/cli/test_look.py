"""``info``, ``validate`` and ``list``; and every ``--json`` is one document with a version."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lomar_cli.attacks.registry import ATTACKS
from lomar_cli.data.registry import DATASETS
from tests.commands import lomar, works
from tests.making import write_json, write_round

KINDS = ("split", "poisoned", "round", "scores", "model", "truth", "metrics")


@pytest.mark.parametrize("name", KINDS)
def test_info_knows_every_kind(name, untrained):
    path = getattr(untrained, name)
    found = json.loads(works("info", path, "--json").stdout)
    assert found["schema_version"] == 1
    assert found["file"] == str(path)
    assert found["kind"] == {"poisoned": "split"}.get(name, name)
    lines = works("info", path).stdout.splitlines()
    assert lines[0].startswith(str(path))
    assert len(lines) > 1


def test_info_counts(untrained):
    def info(path):
        return json.loads(works("info", path, "--json").stdout)

    assert info(untrained.poisoned)["relabelled"] == {"1:7": 90}
    assert info(untrained.poisoned)["samples_per_client"] == "30"
    assert info(untrained.round)["clients"] == 15
    assert info(untrained.round)["parameters"] == 650
    assert info(untrained.round)["output_layer"] == "fc.weight"
    assert info(untrained.model)["labels"] == [str(digit) for digit in range(10)]
    flagged = sum(not c["keep"] for c in scores(untrained))
    assert info(untrained.scores)["flagged"] == flagged
    assert info(untrained.truth)["malicious"] == 3


def scores(untrained):
    return json.loads(works("score", untrained.round, "--json").stdout)["clients"]


def test_info_reads_text_scores(untrained, tmp_path):
    for kind in ("csv", "tsv", "json"):
        works("export", untrained.scores, "-o", tmp_path / f"s.{kind}")
        found = json.loads(works("info", tmp_path / f"s.{kind}", "--json").stdout)
        assert (found["kind"], found["clients"]) == ("scores", 15)


def test_info_names_the_stages_in_order(pipeline):
    lines = works("info", pipeline.model).stdout.splitlines()
    steps = [line.split()[1] for line in lines[lines.index("made by") + 1 :]]
    assert steps == ["partition", "attack", "train", "score", "aggregate"]


def test_validate_passes_all_of_ours(untrained):
    files = [getattr(untrained, name) for name in KINDS]
    ran = works("validate", *files)
    assert ran.stdout.count("ok ") == len(files)
    assert ran.stderr == ""


def test_validate_finds_the_bad_one_and_goes_on(untrained, tmp_path):
    bad = tmp_path / "bad.h5"
    bad.write_bytes(untrained.round.read_bytes()[:-1000])
    ran = lomar("validate", untrained.split, bad, untrained.model)
    assert ran.exit_code == 3
    assert [line.split()[0] for line in ran.stdout.splitlines()] == ["ok", "invalid", "ok"]
    assert "bad.h5" in ran.stdout.splitlines()[1]
    ran = lomar("validate", untrained.split, bad, "--json")
    found = json.loads(ran.stdout)
    assert [file["valid"] for file in found["files"]] == [True, False]
    assert (ran.exit_code, found["schema_version"]) == (3, 1)


def test_list_names_everything_or_one_kind():
    found = json.loads(works("list", "--json").stdout)
    assert found.pop("schema_version") == 1
    assert set(found) >= {"methods", "rules", "attacks", "datasets", "schemes", "models"}
    options = found.pop("options")
    assert set(options) == {"methods", "rules", "pre"}
    assert options["rules"]["multi-krum"] == {"assume_malicious": None, "select": None}
    assert options["pre"]["clipping"] == {"bound": "1x"}
    assert all(set(taken) == set(found[kind]) for kind, taken in options.items())
    assert set(found["datasets"]) == set(DATASETS)
    assert set(found["attacks"]) == set(ATTACKS)
    for kind, entries in found.items():
        assert json.loads(works("list", kind, "--json").stdout)[kind] == entries
        table = works("list", kind).stdout
        assert all(name in table for name in entries), kind
    assert "ceiling=left" in works("list", "rules").stdout


@pytest.mark.parametrize(
    "document",
    [
        {"malicious": [], "\x1b[31mkey": "\x1b[31mvalue", "kind": "\x1b[31mkind"},
        {"accuracy": {"\x1b[31mkey": 1}, "kind": "\x9b31m"},
        {"accuracy": {}, "provenance": ["not an object"]},
        {"accuracy": {}, "provenance": [{"stage": "\x1b[31m", "options": "no object"}]},
        {"accuracy": {}, "provenance": "text"},
        {"malicious": [], "provenance": [{"stage": "x", "inputs": ["a"]}]},
        {"malicious": [], "note": float("nan")},
    ],
)
@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_info_survives_what_strangers_write(document, json_too, tmp_path):
    path = write_json(tmp_path / "x.json", document)
    ran = lomar("info", path, *json_too)
    assert ran.exit_code in (0, 3), ran.stderr
    assert "Traceback" not in ran.stderr
    assert "\x1b" not in ran.stdout + ran.stderr
    assert "\x9b" not in ran.stdout + ran.stderr
    if json_too and ran.exit_code == 0:
        json.loads(ran.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.parametrize("what", ["label", "parameter"])
def test_names_from_a_stranger_never_reach_the_terminal_as_they_are(what, tmp_path):
    path = tmp_path / "r.h5"
    if what == "label":
        write_round(path, labels=["\x1b[31mred", "\x9bb", "c"])
    else:
        write_round(path, {"\x1b[31m": np.ones((3, 2), "f4")}, output=None)
    shown = [
        ("info",),
        ("score",),
        ("score", "--layers", "zz"),
        ("score", "-o", "-"),
        ("validate",),
    ]
    for command, *options in shown:
        ran = lomar(command, path, *options)
        assert ran.exit_code in (0, 2, 3)
        assert not {"\x1b", "\x9b"} & set(ran.stdout + ran.stderr), (command, options)
