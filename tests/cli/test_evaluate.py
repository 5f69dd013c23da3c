"""``evaluate``: every figure against a computation of its own in plain NumPy."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from sklearn.datasets import load_digits

from lomar_cli.files.scores import read_scores
from lomar_cli.scoring.registry import DEFAULT_METHOD
from tests.commands import refused, works
from tests.making import write_json


@pytest.fixture
def predicted(pipeline):
    """Predicted and true labels of the test part: every fifth sample of digits."""
    x, y = load_digits(return_X_y=True)
    with h5py.File(pipeline.model) as handle:
        weight = handle["parameters/fc.weight"][:].astype(np.float64)
        bias = handle["parameters/fc.bias"][:].astype(np.float64)
    scores = np.einsum("if,rf->ir", x[4::5] / 16, weight) + bias
    return scores.argmax(axis=1), y[4::5]


def test_accuracy_figures(pipeline, predicted):
    guess, truth = predicted
    found = json.loads(pipeline.metrics.read_text())["accuracy"]
    per_label = [float(np.mean(guess[truth == label] == label)) for label in range(10)]
    assert found["samples"] == len(truth) == 359
    assert found["overall"] == pytest.approx(np.mean(guess == truth))
    assert list(found["per_label"].values()) == pytest.approx(per_label)
    assert found["mean_per_label"] == pytest.approx(np.mean(per_label))
    assert found["flips"] == ["1:7"]
    assert found["source"] == pytest.approx(per_label[1])
    assert found["target"] == pytest.approx(per_label[7])
    other = ~np.isin(truth, [1, 7])
    assert found["other"] == pytest.approx(np.mean(guess[other] == truth[other]))
    assert found["source_as_target"] == pytest.approx(np.mean(guess[truth == 1] == 7))
    assert (found["dataset"], found["round"]) == ("digits", 1)


def test_the_training_part_is_measured_on_its_true_labels(pipeline):
    x, y = load_digits(return_X_y=True)
    train = np.arange(len(y)) % 5 != 4
    with h5py.File(pipeline.model) as handle:
        weight = handle["parameters/fc.weight"][:].astype(np.float64)
        bias = handle["parameters/fc.bias"][:].astype(np.float64)
    guess, truth = (x[train] / 16 @ weight.T + bias).argmax(axis=1), y[train]
    run = ("evaluate", pipeline.model, "--split", pipeline.poisoned, "--flip", "1:7", "--json")
    both = json.loads(works(*run, "--part", "both").stdout)
    found = both["accuracy_training"]
    assert found["samples"] == len(truth) == 1438
    assert found["overall"] == pytest.approx(np.mean(guess == truth))
    assert found["source"] == pytest.approx(np.mean(guess[truth == 1] == 1))
    assert both["provenance"][-1]["options"]["part"] == "both"
    alone = json.loads(works(*run, "--part", "train").stdout)
    assert alone["accuracy_training"] == found
    assert "accuracy" not in alone
    test = json.loads(works(*run).stdout)
    assert test["accuracy"] == both["accuracy"]
    assert test["accuracy"].keys() == found.keys()
    assert "accuracy_training" not in test
    shown = works(*run[:-1], "--part", "both").stdout
    assert "training accuracy on label 1" in shown


def test_parts_that_are_not_there(pipeline, tmp_path):
    model = ("evaluate", pipeline.model, "--split", pipeline.split)
    refused(tmp_path, 2, ["--part training", "train"], *model, "--part", "training")
    judged = ("--scores", pipeline.scores, "--truth", pipeline.truth)
    refused(tmp_path, 2, ["--part"], "evaluate", *judged, "--part", "train")


def test_several_flips_count_each_source_for_its_own_target(pipeline, predicted):
    guess, truth = predicted
    flips = ("--flip", "1:7", "--flip", "6:9", "--json")
    ran = works("evaluate", pipeline.model, "--split", pipeline.split, *flips)
    found = json.loads(ran.stdout)["accuracy"]
    fooled = np.concatenate([guess[truth == 1] == 7, guess[truth == 6] == 9])
    assert found["source_as_target"] == pytest.approx(fooled.mean())
    sources = np.isin(truth, [1, 6])
    assert found["source"] == pytest.approx(np.mean(guess[sources] == truth[sources]))
    assert ran.stderr == ""


def test_detection_figures(pipeline):
    scores = read_scores(pipeline.scores)
    found = json.loads(pipeline.metrics.read_text())["detection"]
    bad = np.isin(scores.clients, pipeline.malicious)
    flagged = ~scores.keep
    assert found["method"] == scores.method == DEFAULT_METHOD
    assert (found["clients"], found["malicious"]) == (len(bad), int(bad.sum()))
    assert found["flagged"] == int(flagged.sum())
    assert found["found"] == pytest.approx(flagged[bad].mean())
    assert found["false_alarms"] == pytest.approx(flagged[~bad].mean())
    assert found["precision"] == pytest.approx(bad[flagged].mean())
    assert found["auc"] == pytest.approx(auc(scores.suspicion, bad))


def auc(suspicion, bad):
    """The share of (malicious, clean) pairs in the right order; ties count half."""
    pairs = [(b, g) for b in suspicion[bad] for g in suspicion[~bad]]
    return np.mean([(b > g) + (b == g) / 2 for b, g in pairs])


def test_ties_count_half(tmp_path):
    rows = [("a", 2, "false"), ("b", 2, "true"), ("c", 1, "true"), ("d", 3, "false")]
    lines = ["client,suspicion,keep", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "s.csv").write_text("\n".join(lines))
    truth = write_json(tmp_path / "t.json", {"malicious": ["a", "b"]})
    ran = works("evaluate", "--scores", tmp_path / "s.csv", "--truth", truth, "--json")
    found = json.loads(ran.stdout)["detection"]
    # a and b each tie with nobody clean: both above c, below d.
    assert found["auc"] == 0.5
    assert (found["found"], found["false_alarms"], found["precision"]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("malicious", [[], ["a", "b"]])
def test_what_cannot_be_counted_is_null(malicious, tmp_path):
    (tmp_path / "s.csv").write_text("client,suspicion,keep\na,1,true\nb,2,true\n")
    truth = write_json(tmp_path / "t.json", {"malicious": malicious})
    ran = works("evaluate", "--scores", tmp_path / "s.csv", "--truth", truth, "--json")
    found = json.loads(ran.stdout)["detection"]
    assert found["auc"] is None
    assert found["precision"] is None
    assert found["found"] == (0.0 if malicious else None)
    assert found["false_alarms"] == (None if malicious else 0.0)


def test_the_same_document_is_printed_and_written(pipeline, tmp_path):
    pair = ("--scores", pipeline.scores, "--truth", pipeline.truth)
    ran = works("evaluate", *pair, "--json", "-o", tmp_path / "m.json")
    assert json.loads(ran.stdout) == json.loads((tmp_path / "m.json").read_text())
    assert "accuracy" not in json.loads(ran.stdout)
    table = works("evaluate", *pair).stdout
    assert "detection: auc" in table


def test_half_a_question_is_refused(pipeline, tmp_path):
    model, split = pipeline.model, ("--split", pipeline.split)
    scores, truth = ("--scores", pipeline.scores), ("--truth", pipeline.truth)
    for given, missing in (
        ((model,), "--split"),
        (split, "MODEL"),
        (scores, "--truth"),
        (truth, "--scores"),
        ((), "--split"),
        ((*scores, *truth, "--flip", "1:7"), "--flip"),
    ):
        refused(tmp_path, 2, [missing], "evaluate", *given)


@pytest.mark.parametrize("ending", ["npz", "safetensors", "pt"])
def test_a_model_in_another_format_is_measured_as_ours(ending, pipeline, tmp_path):
    if ending == "pt":
        pytest.importorskip("torch")
    other = tmp_path / f"model.{ending}"
    works("export", pipeline.model, "-o", other)
    about = ("--split", pipeline.poisoned, "--flip", "1:7", "--json")
    expected = json.loads(works("evaluate", pipeline.model, *about).stdout)
    refused(tmp_path, 3, [other, "--architecture"], "evaluate", other, *about)
    line = ("evaluate", other, "--architecture", "logistic", *about)
    found = json.loads(works(*line).stdout)
    assert found["accuracy"] == {**expected["accuracy"], "round": None}
    inputs = [document["provenance"][-1]["inputs"] for document in (found, expected)]
    assert inputs[0] == inputs[1]


def test_an_architecture_that_is_not_the_models(pipeline, tmp_path):
    about = ("--split", pipeline.poisoned, "--architecture", "mlp")
    refused(tmp_path, 2, ["logistic"], "evaluate", pipeline.model, *about)
    np.savez(tmp_path / "m.npz", **{"fc.weight": np.ones((10, 3), "f4")})
    line = ("evaluate", tmp_path / "m.npz", *about[:3], "logistic")
    refused(tmp_path, 3, ["do not fit logistic"], *line)
