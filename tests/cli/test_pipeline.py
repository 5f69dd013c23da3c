"""Partition, train, score and filter, each by its command, on the small pipeline of digits."""

from __future__ import annotations

import json
import re

import h5py
import numpy as np
import pytest

from lomar_cli._version import __version__
from lomar_cli.data import registry
from lomar_cli.files.model import parameters_sha256, read_model
from lomar_cli.files.round import open_round
from lomar_cli.files.scores import read_scores
from lomar_cli.files.split import read_split
from lomar_cli.scoring.auto.views import VIEWS
from lomar_cli.scoring.registry import DEFAULT_METHOD
from tests.commands import lomar, works
from tests.conftest import CLIENTS, FLIPPERS, SAMPLES
from tests.making import columns_of, read_updates, write_round, write_verdict


def stages(path):
    document = json.loads(works("info", path, "--json").stdout)
    return [step["stage"] for step in document["provenance"]]


def test_partition_gives_every_client_its_samples(split):
    found = read_split(split.split)
    assert len(found.clients) == CLIENTS
    assert [len(own) for own in found.samples] == [SAMPLES] * CLIENTS
    assert (found.dataset, found.scheme, found.train_size) == ("digits", "paper", 1438)
    assert found.dataset_sha256 == registry.load("digits").sha256


def test_partition_names_say_nothing_of_a_client(split):
    found = read_split(split.split)
    assert all(re.fullmatch("c[0-9a-f]{7}", name) for name in found.clients)
    assert list(found.clients) == sorted(found.clients)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--scheme", "paper", "--imbalance", "0.5"], {"imbalance": 0.5, "samples": 20}),
        (["--scheme", "iid"], {"samples": 20}),
        (["--scheme", "dirichlet", "--alpha", "0.1"], {"alpha": 0.1, "samples": 20}),
        (["--scheme", "shards", "--shards", "3"], {"shards": 3, "samples": 20}),
    ],
)
def test_partition_keeps_the_scheme_and_its_options(options, kept, tmp_path):
    size = ("--clients", 4, "--samples-per-client", 20)
    works("partition", "digits", *size, *options, "-o", tmp_path / "s.h5")
    found = read_split(tmp_path / "s.h5")
    assert (found.scheme, found.options) == (options[1], kept)


def test_a_seed_draws_its_own_split(tmp_path):
    drawn = []
    for seed in (1, 1, 2):
        path = tmp_path / f"{len(drawn)}.h5"
        size = ("--clients", 2, "--samples-per-client", 20)
        works("partition", "digits", *size, "--seed", seed, "-o", path)
        drawn.append(read_split(path))
    assert drawn[0].sha256 == drawn[1].sha256 != drawn[2].sha256
    assert set(drawn[0].samples[0]) != set(drawn[2].samples[0])


def test_every_stage_summarises_on_stderr_and_keeps_stdout_empty(pipeline):
    assert set(pipeline.ran) == {"partition", "attack", "train", "score", "aggregate", "evaluate"}
    notes = [f"note: {note}" for note in read_scores(pipeline.scores).notes]
    for name, ran in pipeline.ran.items():
        assert ran.stdout == "", name
        *before, _ = ran.stderr.splitlines()
        assert before == (notes if name == "score" else []), name
    assert f"{CLIENTS} clients x {SAMPLES} samples of digits" in pipeline.ran["partition"].stderr
    assert f"{CLIENTS + FLIPPERS} clients, model logistic" in pipeline.ran["train"].stderr


def test_every_stage_extends_the_chain_that_led_to_its_file(pipeline):
    before = ["partition", "attack label-flip", "train"]
    assert stages(pipeline.round) == before
    assert stages(pipeline.scores) == [*before, "score"]
    assert stages(pipeline.model) == [*before, "score", "aggregate"]


def test_every_step_names_its_inputs_by_their_digests(pipeline):
    def facts(path):
        return json.loads(works("info", path, "--json").stdout)

    steps = {step["stage"]: step for step in facts(pipeline.model)["provenance"]}
    assert steps["attack label-flip"]["inputs"]["split"] == facts(pipeline.split)["sha256"]
    assert steps["train"]["inputs"]["split"] == facts(pipeline.poisoned)["sha256"]
    assert steps["score"]["inputs"]["round"] == facts(pipeline.round)["sha256"]
    assert steps["aggregate"]["inputs"]["scores"] == facts(pipeline.scores)["sha256"]
    assert steps["partition"]["inputs"]["dataset"] == registry.load("digits").sha256
    assert [steps[name]["seed"] for name in ("partition", "attack label-flip", "train")] == [1] * 3
    assert steps["train"]["options"]["local_steps"] == 3
    assert all(step["version"] == __version__ for step in steps.values())


def test_train_writes_an_update_of_every_client(pipeline):
    split = read_split(pipeline.poisoned)
    with open_round(pipeline.round) as found:
        head = found.head
        zeros = {name: np.zeros(shape, np.float32) for name, shape in head.shapes.items()}
    assert list(head.clients) == list(split.clients)
    assert head.num_examples.tolist() == [SAMPLES] * (CLIENTS + FLIPPERS)
    assert dict(head.shapes) == {"fc.weight": (10, 64), "fc.bias": (10,)}
    assert (head.round_number, head.architecture) == (1, "logistic")
    assert head.base_sha256 == parameters_sha256(zeros)
    assert all(np.abs(update).max() > 0 for update in read_updates(pipeline.round)["fc.weight"])


def test_train_goes_on_from_a_model(pipeline, tmp_path):
    second = tmp_path / "round2.h5"
    works("train", pipeline.poisoned, "--init", pipeline.model, "--local-steps", 1, "-o", second)
    model = read_model(pipeline.model)
    with open_round(second) as found:
        assert found.head.round_number == 2
        assert found.head.base_sha256 == model.sha256
    with h5py.File(second) as handle, h5py.File(pipeline.round) as first:
        assert handle["updates/fc.weight"].shape == first["updates/fc.weight"].shape


def test_a_client_trains_alike_whoever_else_takes_part(pipeline, tmp_path):
    works("train", pipeline.split, "--local-steps", 3, "--seed", 1, "-o", tmp_path / "clean.h5")
    with open_round(tmp_path / "clean.h5") as clean, open_round(pipeline.round) as poisoned:
        here, there = clean.updates, poisoned.updates
        for row, client in enumerate(here.clients):
            other = list(there.clients).index(client)
            for name, tensor in here.tensors.items():
                np.testing.assert_allclose(tensor[row], there.tensors[name][other], atol=1e-7)


def test_score_says_the_same_in_every_format(pipeline, tmp_path):
    expected = read_scores(pipeline.scores)
    for kind in ("csv", "tsv", "json", "h5"):
        path = tmp_path / f"scores.{kind}"
        works("score", pipeline.round, "-o", path)
        found = read_scores(path)
        assert columns_of(found) == columns_of(expected), kind
        assert found.round_sha256 == expected.round_sha256, kind
    assert list(expected.columns)[:6] == [
        *("client", "num_examples", "suspicion", "keep", "weight", "reason")
    ]


def test_columns_are_the_methods_own(pipeline, tmp_path):
    common = ["client", "num_examples", "suspicion", "keep"]
    own = {
        "lomar-auto": ["weight", "reason", *(f"view_{name}" for name in VIEWS)],
        "lomar": ["reason", "factor", "log_factor"],
    }
    for method, columns in own.items():
        works("score", pipeline.round, "-m", method, "-f", "-o", tmp_path / "s.h5")
        found = list(read_scores(tmp_path / "s.h5").columns)
        labels = [f"log_factor_label_{digit}" for digit in range(10)] if method == "lomar" else []
        assert found == [*common, *columns, *labels]


def test_score_streams_what_it_writes(pipeline, tmp_path):
    for kind in ("csv", "tsv", "json"):
        path = tmp_path / "table"
        works("score", pipeline.round, "--format", kind, "-f", "-o", path)
        streamed = works("score", pipeline.round, "--format", kind, "-o", "-")
        assert streamed.stdout == path.read_text(), kind
        assert streamed.stderr == ""
    document = json.loads(works("score", pipeline.round, "--json").stdout)
    assert document == json.loads(path.read_text())


def test_score_keeps_what_is_not_above_the_threshold(pipeline):
    document = json.loads(works("score", pipeline.round, "--json").stdout)
    assert document["method"] == DEFAULT_METHOD
    assert len(document["clients"]) == CLIENTS + FLIPPERS
    for client in document["clients"]:
        assert client["keep"] == (client["suspicion"] <= document["threshold"])
        assert client["reason"]


def test_score_suspects_flippers_more_than_others(pipeline):
    detection = json.loads(pipeline.metrics.read_text())["detection"]
    assert detection["auc"] > 0.8
    assert detection["malicious"] == FLIPPERS


def test_score_shows_the_worst_client_first(pipeline):
    found = read_scores(pipeline.scores)
    table = works("score", pipeline.round).stdout.splitlines()
    assert table[1].split()[0] == found.clients[int(found.suspicion.argmax())]
    flagged = int((~found.keep).sum())
    assert any(
        f"{flagged} of {len(found.clients)} clients flagged by {DEFAULT_METHOD}" in r for r in table
    )


def test_filter_leaves_out_exactly_the_flagged(pipeline, tmp_path):
    works("filter", pipeline.round, "--scores", pipeline.scores, "-o", tmp_path / "kept.h5")
    verdict = read_scores(pipeline.scores).keep
    with open_round(pipeline.round) as whole, open_round(tmp_path / "kept.h5") as kept:
        expected = [c for c, keep in zip(whole.head.clients, verdict, strict=True) if keep]
        assert list(kept.head.clients) == expected
        assert kept.head.base_sha256 == whole.head.base_sha256
        assert kept.head.output == whole.head.output
        assert list(kept.head.labels) == list(whole.head.labels)
        for name, tensor in kept.updates.tensors.items():
            np.testing.assert_array_equal(tensor, whole.updates.tensors[name][verdict])
    assert 0 < len(expected) < len(verdict)


def test_filtered_rounds_are_rounds_like_any_other(pipeline, tmp_path):
    kept = tmp_path / "kept.h5"
    works("filter", pipeline.round, "--scores", pipeline.scores, "-o", kept)
    works("score", kept, "-o", tmp_path / "again.csv")
    assert stages(kept)[-2:] == ["score", "filter"]


def test_filter_writes_no_empty_round(tmp_path):
    path = write_round(tmp_path / "round.h5", 3)
    verdict = write_verdict(tmp_path / "v.csv", path, ["c0", "c1", "c2"])
    ran = lomar("filter", path, "--scores", verdict, "-o", tmp_path / "kept.h5")
    assert ran.exit_code == 1
    assert not (tmp_path / "kept.h5").exists()
