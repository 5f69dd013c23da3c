"""Near-copies share one vote: the column ``weight`` from the method to the aggregated model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lomar_cli.aggregation.registry import RULES
from lomar_cli.files.model import read_model
from lomar_cli.files.round import open_round
from lomar_cli.files.scores import read_scores, write_scores
from lomar_cli.scoring.base import Judgement
from lomar_cli.scoring.judge import judge
from lomar_cli.scoring.none import NoDefense
from lomar_cli.stages.score import table
from tests.commands import refused, works
from tests.making import read_updates, write_round, write_verdict
from tests.scoring.rounds import random_round

# Four clients of 10, 20, 30 and 40 samples; c2 and c3 are near-copies.
SENT, SAMPLES = (1.0, 4.0, 2.0, 2.0), [10, 20, 30, 40]
HALVES = {"c2": 0.5, "c3": 0.5}


def half_votes(view):
    """A method that keeps everybody and lets all share votes in pairs."""
    count = len(view.updates.clients)
    everybody = np.ones(count, dtype=bool)
    return Judgement(np.zeros(count), 1.0, everybody, ["fine"] * count, weight=np.full(count, 0.5))


@pytest.fixture
def four(tmp_path):
    sent = np.float32(SENT)
    made = {"fc.weight": np.broadcast_to(sent[:, None, None], (4, 2, 2)).copy()}
    return write_round(tmp_path / "four.h5", made, num_examples=SAMPLES, output=None)


def aggregated(path, verdict, *args, output):
    """The one number of the aggregated update, and what --json says."""
    words = ("aggregate", path, "--scores", verdict, "--from-zero", "--json", "-f", "-o", output)
    ran = works(*words, *args)
    return read_model(output).parameters["fc.weight"].ravel()[0], json.loads(ran.stdout)


def test_a_vote_shared_halves_the_weight(four, tmp_path):
    verdict = write_verdict(tmp_path / "v.csv", four, [], HALVES)
    found, said = aggregated(four, verdict, output=tmp_path / "m.h5")
    # (10 * 1 + 20 * 4 + 15 * 2 + 20 * 2) / 65
    assert found == pytest.approx(160 / 65)
    assert [one["weight"] for one in said["clients"]] == [1, 1, 0.5, 0.5]
    shares = [one["share"] for one in said["clients"]]
    assert shares == pytest.approx([10 / 65, 20 / 65, 15 / 65, 20 / 65])
    assert any("2 clients share votes" in note and "as 1 would" in note for note in said["notes"])


def test_uniform_weights_count_votes(four, tmp_path):
    verdict = write_verdict(tmp_path / "v.csv", four, ["c0"], HALVES)
    found, said = aggregated(four, verdict, "--weights", "uniform", output=tmp_path / "m.h5")
    # One vote for c1, one for c2 and c3 together.
    assert found == pytest.approx((4 + 0.5 * 2 + 0.5 * 2) / 2)
    assert [one["share"] for one in said["clients"]] == [0, 0.5, 0.25, 0.25]


def test_the_cap_comes_after_the_votes(four, tmp_path):
    verdict = write_verdict(tmp_path / "v.csv", four, ["c0"], HALVES)
    options = ("--weights", "uniform", "--max-weight-share", "0.4")
    found, _ = aggregated(four, verdict, *options, output=tmp_path / "m.h5")
    # 0.5, 0.25, 0.25 of all; the 0.1 that c1 has too much goes to the two evenly.
    assert found == pytest.approx(0.4 * 4 + 0.6 * 2)


def test_without_renormalizing_a_shared_vote_is_lost(four, tmp_path):
    verdict = write_verdict(tmp_path / "v.csv", four, ["c1"], HALVES)
    found, _ = aggregated(four, verdict, "--no-renormalize", output=tmp_path / "m.h5")
    assert found == pytest.approx((10 * 1 + 15 * 2 + 20 * 2) / 100)


def test_shared_votes_make_nobodys_claim_larger(tmp_path):
    path = write_round(tmp_path / "r.h5", 12)
    votes = {f"c{number}": 0.1 for number in range(2, 12)}
    verdict = write_verdict(tmp_path / "v.csv", path, [], votes)
    ran = works("aggregate", path, "--scores", verdict, "--from-zero", "-o", tmp_path / "m.h5")
    assert "warning" not in ran.stderr


@pytest.mark.parametrize("rule", ["median", "krum", "trimmed-mean"])
def test_a_rule_that_takes_no_weights_says_so(rule, tmp_path):
    path = write_round(tmp_path / "r.h5", 12)
    verdict = write_verdict(tmp_path / "v.csv", path, [], HALVES)
    found, said = aggregated(path, verdict, "--rule", rule, output=tmp_path / "m.h5")
    plain, _ = aggregated(
        path, write_verdict(tmp_path / "w.csv", path, []), "--rule", rule, output=tmp_path / "n.h5"
    )
    assert found == plain
    assert rule in RULES.names()
    assert any("weights are not used" in note for note in said["notes"])


def test_filter_warns_that_a_round_holds_no_weights(four, tmp_path):
    verdict = write_verdict(tmp_path / "v.csv", four, ["c3"], HALVES)
    ran = works("filter", four, "--scores", verdict, "-o", tmp_path / "kept.h5", "-q")
    assert "warning: 1 of the kept clients share votes" in ran.stderr
    assert "lomar aggregate" in ran.stderr
    plain = write_verdict(tmp_path / "w.csv", four, ["c3"])
    assert works("filter", four, "--scores", plain, "-o", tmp_path / "k.h5", "-q").stderr == ""
    kept, alike = read_updates(tmp_path / "kept.h5"), read_updates(tmp_path / "k.h5")
    np.testing.assert_array_equal(kept["fc.weight"], alike["fc.weight"])


@pytest.mark.parametrize("kind", ["h5", "csv", "tsv", "json"])
def test_every_format_holds_the_weights_after_keep(kind, four, tmp_path):
    with open_round(four) as found:
        judged = judge(found.updates, half_votes)
        scores = table(found, "none", NoDefense(), judged, None, 0, {})
    path = tmp_path / f"s.{kind}"
    write_scores(path, scores, kind)
    back = read_scores(path)
    assert list(back.columns) == [
        *("client", "num_examples", "suspicion", "keep", "weight", "reason")
    ]
    assert back.weight.tolist() == [0.5] * 4
    works("export", path, "-o", tmp_path / "out.csv")
    assert read_scores(tmp_path / "out.csv").weight.tolist() == [0.5] * 4


def test_without_the_column_everybody_has_a_vote(four, tmp_path):
    verdict = read_scores(write_verdict(tmp_path / "v.csv", four, []))
    assert "weight" not in verdict.columns
    assert verdict.weight.tolist() == [1] * 4


@pytest.mark.parametrize("weight", [0, -0.5, 1.5, "", "nan"])
def test_a_weight_that_is_no_part_of_a_vote_is_refused(weight, four, tmp_path):
    verdict = write_verdict(tmp_path / "v.csv", four, [], {"c1": weight})
    words = ("aggregate", four, "--scores", verdict, "--from-zero", "-o", tmp_path / "m.h5")
    refused(tmp_path, 3, ["v.csv", "weight"], *words)


def test_who_is_set_aside_shares_with_nobody():
    updates = random_round(1, 6, 3, 4)
    updates.tensors["fc.weight"][2, 0, 0] = np.nan
    judged = judge(updates, half_votes)
    assert judged.weight.tolist() == [0.5, 0.5, 1, 0.5, 0.5, 0.5]
    assert not judged.keep[2]
