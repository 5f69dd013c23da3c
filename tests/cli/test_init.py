"""``lomar init``: the model that ``train`` starts from, and ``aggregate`` needs."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="networks need the extra 'train'")

from lomar_cli.files.model import read_model
from lomar_cli.files.round import open_round
from tests.commands import check_refused, lomar, works


def base_of(path):
    with open_round(path) as found:
        return found.head.base_sha256


@pytest.mark.parametrize("name", ["logistic", "mlp", "cnn"])
def test_train_starts_from_the_same_model(name, split, tmp_path):
    model, made = tmp_path / "m.h5", tmp_path / "r.h5"
    kind = ("--model", name, "--seed", 4)
    works("init", split.split, *kind, "-o", model)
    works("train", split.split, *kind, "--local-steps", 1, "-o", made)
    found = read_model(model)
    assert found.sha256 == base_of(made)
    assert found.architecture == name
    assert (found.round_number, list(found.labels)) == (0, [str(digit) for digit in range(10)])
    given = tmp_path / "g.h5"
    works("train", split.split, "--init", model, "--seed", 4, "--local-steps", 1, "-o", given)
    assert base_of(given) == found.sha256


def test_a_round_of_a_network_goes_all_the_way(split, tmp_path):
    model, made, after = (tmp_path / name for name in ("m.h5", "r.h5", "n.h5"))
    works("init", split.split, "--model", "mlp", "-o", model)
    steps = ("--local-steps", 20, "--lr", 0.1, "--momentum", 0.5, "--weight-decay", 0.001)
    works("train", split.split, "--model", "mlp", *steps, "-o", made)
    check_refused(lomar("aggregate", made, "-o", after), 2, "--model")
    works("score", made, "-o", tmp_path / "scores.csv")
    works("aggregate", made, "--model", model, "-o", after)
    ran = works("evaluate", after, "--split", split.split, "-o", tmp_path / "metrics.json")
    assert float(ran.stderr.split("accuracy ")[1].split()[0].rstrip(",")) > 0.3
    wrong = tmp_path / "other.h5"
    works("init", split.split, "--model", "mlp", "--seed", 9, "-o", wrong)
    check_refused(lomar("aggregate", made, "--model", wrong, "-f", "-o", after), 3, wrong)


def test_a_data_set_does_as_well_as_a_split(split, tmp_path):
    works("init", split.split, "--model", "cnn", "-o", tmp_path / "a.h5")
    works("init", "digits", "--model", "cnn", "-o", tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_wrong_words_are_refused(split, tmp_path):
    out = ("-o", tmp_path / "m.h5")
    check_refused(lomar("init", "digitz", *out), 2, "did you mean 'digits'")
    check_refused(lomar("init", tmp_path / "none.h5", *out), 2, "none.h5")
    check_refused(lomar("init", "digits", "--model", "cmn", *out), 2, "did you mean 'cnn'")
    check_refused(lomar("init", split.split, "--image-size", 8, *out), 2, "split")
    works("init", split.split, "-o", tmp_path / "w.h5")
    ran = lomar("train", split.split, "--model", tmp_path / "w.h5", "-o", tmp_path / "r.h5")
    check_refused(ran, 2, "w.h5 is a file", "train --init FILE")
    check_refused(lomar("init", "digits", "--model", "squeezenet", *out), 2, "17 x 17")
    for flag, value in (("--momentum", 1), ("--weight-decay", -1)):
        check_refused(lomar("train", split.split, flag, value, *out), 2, flag)
