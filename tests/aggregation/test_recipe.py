"""Pre-aggregations before rules: chains, what they are told, and who took part."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.errors import LomarError, UsageError
from lomar_cli.stages.recipe import Recipe
from tests.aggregation.rounds import as_view, difference, matrix, mixed, result, vector


def run(rule, pre, rows, told=None, options=None, seed=0):
    return Recipe.make(rule, pre, options or {}, told)(as_view(rows, seed=seed), np.ones(len(rows)))


def test_a_chain_is_one_after_the_other():
    rows = matrix(20, 8, 4, 1)
    once = mixed("nnm", mixed("clipping", rows, bound="2"), assume_malicious="4")
    done = run("trimmed-mean", ["clipping", "nnm"], rows, "4", {"clipping.bound": "2"})
    assert difference(vector(done), result("trimmed-mean", once, assume_malicious="4")) < 1e-12
    turned = run("trimmed-mean", ["nnm", "clipping"], rows, "4", {"clipping.bound": "2"})
    assert difference(vector(turned), vector(done)) > 1e-3


def test_those_who_took_part_are_the_members_of_what_was_used():
    rows = matrix(20, 8, 4, 1)
    done = run("krum", ["bucketing"], rows, "2", {"bucketing.size": "4"}, seed=5)
    assert done.used.sum() == 4
    assert difference(vector(done), rows[done.used].mean(axis=0)) < 1e-12
    outlier = run("krum", ["nnm"], rows, "4")
    assert outlier.used.sum() == 16 and not outlier.used[-4:].any()


def test_buckets_and_fedavg_give_the_mean_of_all():
    """The last bucket is smaller, and its weight too."""
    rows = matrix(11, 8, 0, 1)
    assert difference(vector(run("fedavg", ["bucketing"], rows)), rows.mean(axis=0)) < 1e-12


def test_as_many_are_malicious_among_fewer_buckets():
    """A share is of the clients: 20% of 20 are 4, of any 10 buckets up to 4 are spoilt."""
    rows = matrix(20, 8, 0, 1)
    share = run("trimmed-mean", ["bucketing"], rows, "20%")
    assert difference(vector(share), vector(run("trimmed-mean", ["bucketing"], rows, "4"))) == 0
    blind = run("trimmed-mean", ["bucketing"], rows)
    assert (vector(blind) == vector(share)).all()
    with pytest.raises(
        UsageError,
        match="n > 2 f with f = 4: at least 9 clients; there are 5 after --pre bucketing",
    ):
        run("trimmed-mean", ["bucketing"], rows, "4", {"bucketing.size": "4"})


def test_an_oracle_and_a_blind_run_can_be_told_apart():
    blind = Recipe.make("krum", ["nnm"], {}, None)
    oracle = Recipe.make("krum", ["nnm"], {}, "4")
    by_set = Recipe.make("krum", ["nnm"], {"assume_malicious": "4"}, None)
    common = {"rule": "krum", "pre": ["nnm"], "assume_malicious": 4}
    assert blind.described(20) == {**common, "assume_malicious_given": False}
    assert oracle.described(20) == by_set.described(20)
    assert oracle.described(20) == {**common, "assume_malicious_given": True}
    rows = as_view(matrix(20, 5))
    assert "4 of 20 clients are assumed malicious (a fifth" in blind(rows, np.ones(20)).notes[0]
    assert "4 of 20 clients are assumed malicious (as told)" in oracle(rows, np.ones(20)).notes[0]


def test_a_rule_that_assumes_nobody_says_so():
    recipe = Recipe.make("median", [], {}, "4")
    assert recipe.described(20) == {"rule": "median"}
    assert "is not used" in recipe(as_view(matrix(20, 5)), np.ones(20)).notes[0]
    assert Recipe.make("median", [], {}, None)(as_view(matrix(20, 5)), np.ones(20)).notes == ()


@pytest.mark.parametrize(
    ("rule", "pre", "options", "told", "says"),
    [
        ("krumm", [], {}, None, "did you mean 'krum'"),
        ("krum", ["nmm"], {}, None, "--pre: there is no 'nmm'; did you mean 'nnm'"),
        ("krum", ["nnm"], {"bucketing.size": "3"}, None, "no '--pre bucketing'"),
        ("krum", ["nnm"], {"nnm.size": "3"}, None, "--size: --pre nnm has no such option"),
        ("krum", [], {"size": "3"}, None, "--set size: --rule krum has no such option"),
        ("krum", [], {"assume_malicious": "3"}, "3", "same as --assume-malicious"),
    ],
)
def test_options_that_fit_nothing(rule, pre, options, told, says):
    with pytest.raises(UsageError, match=says):
        Recipe.make(rule, pre, options, told)


@pytest.mark.parametrize("pre", [[], ["nnm"], ["bucketing"]])
def test_what_is_not_finite_is_refused_before_it_is_mixed(pre):
    rows = matrix(10, 5)
    rows[3, 2] = np.nan
    with pytest.raises(LomarError, match="'c3' holds NaN"):
        run("median", pre, rows)
    with pytest.raises(LomarError, match="'c3' holds NaN"):
        run("fedavg", pre, rows)
