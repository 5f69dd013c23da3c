"""``lomar aggregate`` with every rule and pre-aggregation, on the sample round."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lomar_cli.aggregation.pre import PRES
from lomar_cli.aggregation.registry import RULES
from lomar_cli.files.model import read_model
from lomar_cli.files.scores import read_scores
from tests.commands import ROOT, refused, works
from tests.making import tensors, write_round

ROUND = ROOT / "sample_data" / "digits-round.h5"
CLIENTS = 48
# What a rule asks for beside the round.
NEEDS = {"fltrust": "--root", "zeno": "--holdout"}


def step(path):
    """What the model's provenance says of the aggregation."""
    found = json.loads(works("info", path, "--json").stdout)["provenance"][-1]
    assert found["stage"] == "aggregate"
    return found


def parameters(path):
    return read_model(path).parameters


@pytest.mark.parametrize("name", RULES.table)
def test_every_rule_runs_or_says_what_it_needs(name, tmp_path):
    out = tmp_path / "next.h5"
    run = ("aggregate", ROUND, "--rule", name, "-o", out)
    if name in NEEDS:
        refused(tmp_path, 2, [NEEDS[name]], *run)
        return
    ran = works(*run)
    assert ran.stdout == ""
    assert f"of {CLIENTS} clients used, rule {name}" in ran.stderr.splitlines()[-1]
    assert ("(without " in ran.stderr) == (f"{CLIENTS} of {CLIENTS} " not in ran.stderr)
    assert step(out)["options"]["rule"] == name
    assert all(np.isfinite(values).all() for values in parameters(out).values())
    assert any(np.abs(values).max() > 0 for values in parameters(out).values())
    again = tmp_path / "again.h5"
    works(*run[:-1], again)
    assert again.read_bytes() == out.read_bytes()


@pytest.mark.parametrize("name", PRES.table)
@pytest.mark.parametrize("rule", ["fedavg", "trimmed-mean", "median"])
def test_every_pre_aggregation_runs(name, rule, tmp_path):
    out = tmp_path / "next.h5"
    ran = works("aggregate", ROUND, "--pre", name, "--rule", rule, "-o", out)
    assert f"rule {rule}, after {name}" in ran.stderr
    assert step(out)["options"]["pre"] == [name]
    works("aggregate", ROUND, "--rule", rule, "-o", tmp_path / "plain.h5")
    plain = parameters(tmp_path / "plain.h5")
    changed = [np.abs(v - plain[key]).max() for key, v in parameters(out).items()]
    # Buckets weigh what their members do, so that their average is that of all.
    assert (max(changed) > 1e-6) == ((name, rule) != ("bucketing", "fedavg"))


def test_pre_aggregations_are_applied_in_order(tmp_path):
    models = []
    for pre in ("clipping,nnm", "nnm, clipping"):
        models.append(tmp_path / f"{len(models)}.h5")
        works("aggregate", ROUND, "--pre", pre, "--rule", "median", "-o", models[-1])
    assert step(models[0])["options"]["pre"] == ["clipping", "nnm"]
    assert step(models[1])["options"]["pre"] == ["nnm", "clipping"]
    first, second = map(parameters, models)
    assert any((first[key] != second[key]).any() for key in first)


def test_the_seed_draws_the_buckets(tmp_path):
    options = ("--pre", "bucketing", "--set", "bucketing.size=3", "--rule", "median")
    models = [tmp_path / f"{number}.h5" for number in range(3)]
    for seed, out in zip((1, 1, 2), models, strict=True):
        works("aggregate", ROUND, *options, "--seed", seed, "-o", out)
    assert models[0].read_bytes() == models[1].read_bytes()
    assert step(models[2])["seed"] == 2
    assert step(models[2])["options"]["bucketing.size"] == 3
    first, last = parameters(models[0]), parameters(models[2])
    assert any((first[key] != last[key]).any() for key in first)


def test_an_oracle_and_a_blind_run_can_be_told_apart(tmp_path):
    """A fifth of 48 is 9: told so or not, the model is the same, and its provenance is not."""
    blind, told, fewer = (tmp_path / f"{name}.h5" for name in ("blind", "told", "fewer"))
    run = ("aggregate", ROUND, "--rule", "multi-krum", "--pre", "nnm")
    said = works(*run, "-o", blind).stderr
    assert "9 of 48 clients are assumed malicious (a fifth, as nothing was told)" in said
    said = works(*run, "--assume-malicious", "9", "-o", told).stderr
    assert "9 of 48 clients are assumed malicious (as told)" in said
    works(*run, "--assume-malicious", "10%", "-o", fewer)
    known = {"assume_malicious": 9, "assume_malicious_given": False}
    assert {key: step(blind)["options"][key] for key in known} == known
    known["assume_malicious_given"] = True
    assert {key: step(told)["options"][key] for key in known} == known
    assert step(fewer)["options"]["assume_malicious"] == 4
    one, other = parameters(blind), parameters(told)
    assert all((one[key] == other[key]).all() for key in one)


def test_a_number_for_a_rule_that_takes_none(tmp_path):
    out = tmp_path / "next.h5"
    ran = works("aggregate", ROUND, "--rule", "median", "--assume-malicious", "5", "-o", out)
    assert "--assume-malicious is not used" in ran.stderr


@pytest.fixture
def boaster(tmp_path):
    """Ten clients, the first of which claims 91 % of all samples."""
    examples = [910, *[10] * 9]
    return write_round(tmp_path / "round.h5", tensors(10), num_examples=examples)


def zero(out, path, *options):
    return works("aggregate", path, "--from-zero", *options, "-o", out, "-f")


def test_a_large_claim_is_warned_of_and_can_be_bounded(boaster, tmp_path):
    out = tmp_path / "next.h5"
    updates = {key: values.astype(float) for key, values in tensors(10).items()}

    def shares(*options):
        ran = zero(out, boaster, "--rule", "fedavg", *options)
        done = parameters(out)
        columns = np.concatenate([values.reshape(10, -1) for values in updates.values()], axis=1)
        target = np.concatenate([done[key].ravel() for key in updates])
        return np.linalg.lstsq(columns.T, target, rcond=None)[0], ran.stderr

    found, said = shares()
    assert found == pytest.approx([0.91, *[0.01] * 9], abs=1e-5)
    assert "lomar: warning: client 'c0' claims 91 % of all samples" in said
    found, said = shares("--max-weight-share", "0.19")
    assert found == pytest.approx([0.19, *[0.09] * 9], abs=1e-5)
    assert "warning" not in said
    found, said = shares("--weights", "uniform")
    assert found == pytest.approx([0.1] * 10, abs=1e-5)
    assert "warning" not in said
    assert step(out)["options"]["weights"] == "uniform"
    assert "warning: client 'c0'" in shares("-q")[1]


def test_a_rule_that_does_not_weigh_says_so(boaster, tmp_path):
    out = tmp_path / "next.h5"
    assert "median counts every client once" in zero(out, boaster, "--rule", "median").stderr
    assert "counts every" not in zero(out, boaster, "--rule", "geometric-median").stderr


def test_quiet_is_quiet(tmp_path):
    ran = works("aggregate", ROUND, "--rule", "krum", "-q", "-o", tmp_path / "next.h5")
    assert ran.stderr == ""


@pytest.mark.parametrize("name", sorted(set(RULES.table) - {"fedavg"}))
def test_only_an_average_counts_for_a_share(name, tmp_path):
    run = ("aggregate", ROUND, "--rule", name, "--no-renormalize", "-o", tmp_path / "next.h5")
    refused(tmp_path, 2, ["--no-renormalize", "eq. 3", name], *run)


@pytest.mark.parametrize(
    ("options", "mentions"),
    [
        (("--rule", "bulyan", "--assume-malicious", "12"), ["n >= 4 f + 3", "at least 51", "48"]),
        (("--rule", "krum", "--assume-malicious", "46"), ["f + 3", "48"]),
        (("--rule", "median", "--pre", "nmm"), ["--pre", "'nnm'"]),
        (("--rule", "trimmedmean"), ["--rule", "'trimmed-mean'"]),
        (("--rule", "flame"), ["it is a method", "lomar score --method flame", "--scores"]),
        (("--rule", "multi-krum", "--set", "selct=3"), ["no such option", "'select'"]),
        (("--rule", "krum", "--assume-malicious", "some"), ["--assume-malicious some"]),
        (("--rule", "krum", "--assume-malicious", "49"), ["--assume-malicious 49", "48"]),
        (("--max-weight-share", "0.01"), ["--max-weight-share", "1/48"]),
        (("--weights", "loud"), ["--weights loud", "examples, uniform"]),
        (("--pre", "nnm", "--set", "bucketing.size=3"), ["bucketing.size", "--pre bucketing"]),
        (("--pre", "bucketing", "--set", "bucketing.size=0"), ["bucketing.size=0"]),
        (("--rule", "mda", "--set", "effort=much"), ["--effort much"]),
    ],
)
def test_what_cannot_be_is_refused(options, mentions, tmp_path):
    refused(tmp_path, 2, mentions, "aggregate", ROUND, *options, "-o", tmp_path / "next.h5")


@pytest.mark.parametrize("options", [("--rule", "krum"), ("--pre", "nnm"), ("--pre", "bucketing")])
def test_a_client_that_sends_nan_is_named(options, tmp_path):
    made = tensors(10)
    made["fc.weight"][4, 1, 2] = np.nan
    path = write_round(tmp_path / "round.h5", made)
    run = ("aggregate", path, "--from-zero", *options, "-o", tmp_path / "next.h5")
    refused(tmp_path, 1, ["'c4' holds NaN", "--scores"], *run)


def test_rules_see_the_clients_that_scores_keep(tmp_path):
    scores, out = tmp_path / "scores.h5", tmp_path / "next.h5"
    works("score", ROUND, "--method", "krum", "--set", "assume_malicious=8", "-o", scores)
    ran = works("aggregate", ROUND, "--scores", scores, "--rule", "trimmed-mean", "-o", out)
    assert "8 of 40 clients are assumed malicious" in ran.stderr
    assert f"40 of {CLIENTS} clients used" in ran.stderr


def test_foolsgold_remembers_earlier_rounds(tmp_path):
    """An earlier round in which two clients sent the same marks them in this one."""
    old, new = tensors(8, seed=1), tensors(8, seed=2)
    for values in old.values():
        values[3] = values[2] * 1.001
        values *= 100
    earlier = write_round(tmp_path / "1.h5", old)
    path = write_round(tmp_path / "2.h5", new)
    run = ("aggregate", path, "--from-zero", "--rule", "foolsgold", "--history", earlier)
    forgets, remembers = tmp_path / "f.h5", tmp_path / "r.h5"
    works(*run, "-o", forgets)
    works(*run, "--set", "memory=true", "-o", remembers)
    assert step(forgets)["options"]["used"] == 8
    assert step(remembers)["options"]["used"] == 6
    assert "history_0" in step(remembers)["inputs"]


def test_rules_stream_what_does_not_fit(tmp_path):
    """Little memory: tensors stay in the file, mixed as they are read."""
    for rule in ("krum", "geometric-median", "meamed"):
        both = [tmp_path / f"{rule}-{memory}.h5" for memory in ("2G", "64K")]
        for out, memory in zip(both, ("2G", "64K"), strict=True):
            run = ("aggregate", ROUND, "--pre", "nnm", "--rule", rule, "--memory", memory)
            works(*run, "-o", out)
        one, other = map(parameters, both)
        for key in one:
            np.testing.assert_allclose(one[key], other[key], rtol=1e-5, atol=1e-7)


def test_list_names_rules_and_pre_aggregations():
    listed = json.loads(works("list", "--json").stdout)
    assert set(RULES.table) <= set(listed["rules"])
    assert set(PRES.table) <= set(listed["pre"])


def test_nothing_is_written_when_a_rule_fails(tmp_path):
    same = {
        name: np.tile(values[:1], (6, *[1] * (values.ndim - 1)))
        for name, values in tensors(1).items()
    }
    path = write_round(tmp_path / "round.h5", same)
    run = ("aggregate", path, "--from-zero", "--rule", "foolsgold", "-o", tmp_path / "next.h5")
    refused(tmp_path, 1, ["point the same way"], *run)


def test_selecting_rules_say_whom_they_used(tmp_path):
    """Nine of 48 are left out, those with the highest scores."""
    out, scores = tmp_path / "next.h5", tmp_path / "scores.h5"
    ran = works("aggregate", ROUND, "--rule", "multi-krum", "--json", "-o", out)
    document = json.loads(ran.stdout)
    works("score", ROUND, "--method", "krum", "-o", scores)
    found = read_scores(scores)
    kept = dict(zip(found.clients, found.keep.tolist(), strict=True))
    assert {entry["client"]: entry["used"] for entry in document["clients"]} == kept
    assert document["options"] == step(out)["options"]
    assert document["options"]["used"] == 39
    left_out = [client for client, good in kept.items() if not good]
    assert f"(without {', '.join(left_out[:5])} and 4 more)" in ran.stderr
    assert any("assumed malicious" in note for note in document["notes"])
