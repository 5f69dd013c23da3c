"""``--holdout``: the loss of each client's step on samples of one's own."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from lomar_cli.files.model import read_model
from lomar_cli.files.round import open_round
from tests.commands import ROOT, refused, works
from tests.making import change, replace, write_round
from tests.scoring.test_zeno import softmax_loss

ROUND = ROOT / "sample_data" / "digits-round.h5"
SPLIT = ROOT / "sample_data" / "digits-split.h5"
TRUTH = ROOT / "sample_data" / "digits-truth.json"


@pytest.fixture
def holdout(tmp_path):
    made = tmp_path / "holdout.h5"
    works(
        "partition", "digits", "--clients", 1, "--samples-per-client", 40, "--seed", 5, "-o", made
    )
    return made


def test_the_losses_are_those_of_the_samples(holdout, tmp_path):
    from lomar_cli.data import registry
    from lomar_cli.files.split import read_split

    out = tmp_path / "scores.csv"
    works("score", ROUND, "--method", "zeno", "--holdout", holdout, "--set", "rho=0", "-o", out)
    rows = list(csv.DictReader(out.open()))
    data, samples = registry.load("digits", None), read_split(holdout).samples[0]
    x, y = data.features(samples).tolist(), data.y_train[samples].tolist()
    with open_round(ROUND) as found:
        weights, biases = (np.asarray(t[:]) for t in found.updates.tensors.values())
    before = np.log(10)
    for row in (0, 7, 47):
        after = softmax_loss(weights[row].tolist(), biases[row].tolist(), x, y)
        assert float(rows[row]["suspicion"]) == pytest.approx(after - before, abs=1e-6)


def test_flippers_are_found_and_the_inputs_are_on_record(holdout, tmp_path):
    out, next_model = tmp_path / "scores.h5", tmp_path / "next.h5"
    works("score", ROUND, "--method", "zeno", "--holdout", holdout, "-o", out)
    found = json.loads(works("evaluate", "--scores", out, "--truth", TRUTH, "--json").stdout)
    assert found["detection"]["auc"] > 0.95
    works("aggregate", ROUND, "--rule", "zeno", "--holdout", holdout, "-o", next_model)
    for path in (out, next_model):
        step = json.loads(works("info", path, "--json").stdout)["provenance"][-1]
        assert set(step["inputs"]) == {"round", "holdout", "model"}
    assert read_model(next_model).provenance[-1]["options"]["used"] == 39


def test_the_start_model_counts(holdout, tmp_path):
    """A round that starts elsewhere needs its model, and only that one."""
    base, later = tmp_path / "base.h5", tmp_path / "later.h5"
    works("aggregate", ROUND, "-o", base)
    works("train", SPLIT, "--init", base, "--local-steps", 2, "-o", later)
    run = ("score", later, "--method", "zeno", "--holdout", holdout)
    refused(tmp_path, 2, ["starts from the model", "--model FILE"], *run)
    other = tmp_path / "other.h5"
    works("aggregate", later, "--model", base, "-o", other)
    refused(tmp_path, 3, ["is not the model that the round starts from"], *run, "--model", other)
    scores = tmp_path / "scores.h5"
    works(*run, "--model", base, "-o", scores)
    step = json.loads(works("info", scores, "--json").stdout)["provenance"][-1]
    assert step["inputs"]["model"] == read_model(base).sha256


def test_what_cannot_serve_is_refused(holdout, tmp_path):
    run = ("score", ROUND, "--method", "zeno")
    refused(tmp_path, 2, ["--holdout SPLIT"], *run)
    refused(tmp_path, 2, ["--holdout", "poisoned samples"], *run, "--holdout", SPLIT)
    refused(tmp_path, 2, ["--model", "--holdout"], *run, "--model", ROUND)
    nameless = write_round(tmp_path / "nameless.h5")
    refused(
        tmp_path, 2, ["--model FILE"], "score", nameless, "--method", "zeno", "--holdout", holdout
    )
    empty = change(holdout, without_samples)
    refused(tmp_path, 2, ["holds no samples"], *run, "--holdout", empty)


def without_samples(handle):
    replace(handle, "samples/index", np.empty(0, np.int32))
    replace(handle, "clients/offset", np.zeros(2, np.int64))


def test_from_zero_has_no_loss(holdout, tmp_path):
    run = ("aggregate", ROUND, "--rule", "zeno", "--from-zero", "--holdout", holdout)
    refused(tmp_path, 2, ["--holdout", "--model"], *run, "-o", tmp_path / "next.h5")


def test_all_methods_share_the_loss(holdout):
    document = json.loads(
        works("score", ROUND, "--method", "all", "--holdout", holdout, "--json").stdout
    )
    zeno = next(m for m in document["methods"] if m["method"] == "zeno")
    assert len(zeno["clients"]) == 48
