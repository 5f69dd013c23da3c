"""Rounds at the edge: hostile numbers, few clients, updates that nearly cancel."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.aggregation.pre import PRES
from lomar_cli.aggregation.registry import RULES
from lomar_cli.errors import LomarError, UsageError
from tests.aggregation.rounds import OURS, apply, as_view, difference, matrix, mixed, result, vector

PRE_NAMES = ("nnm", "bucketing", "arc", "clipping")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", [*OURS, *PRE_NAMES])
def test_a_client_that_is_not_finite_is_named(name, value):
    rows = matrix(15, 6).astype(np.float32)
    rows[4, 3] = value
    view = as_view(rows, [f"hospital-{number}" for number in range(15)])
    made = (RULES if name in OURS else PRES).make(name, {})
    with pytest.raises(LomarError, match=r"'hospital-4' holds NaN or infinity.*--scores"):
        made(view, np.ones(15))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [(np.inf, -np.inf), (np.inf, np.inf), (np.nan, 0.0)])
def test_a_mean_of_what_is_not_finite_names_who_it_is_without_a_warning(values):
    rows = matrix(15, 6)
    rows[4, 3], rows[7, 3] = values
    view = as_view(rows, [f"hospital-{number}" for number in range(15)])
    with pytest.raises(LomarError, match="'hospital-4' holds NaN or infinity"):
        RULES.make("fedavg", {})(view, np.ones(15))


@pytest.mark.parametrize("name", sorted(set(OURS) - {"fedavg", "foolsgold"}))
def test_a_huge_update_does_not_overflow(name):
    """Its square is beyond float32; the honest ones are averaged as if it had not come."""
    rows = matrix(15, 6).astype(np.float32)
    rows[4] = 1e30
    found = result(name, rows)
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 10


@pytest.mark.parametrize("name", [*sorted(set(OURS) - {"fedavg"}), *PRE_NAMES])
def test_a_number_beyond_all_comparison_is_refused(name):
    rows = matrix(15, 6)
    rows[4, 1] = 1e200
    made = (RULES if name in OURS else PRES).make(name, {})
    with pytest.raises(LomarError, match="'c4' holds 1e\\+200, too large to compare"):
        made(as_view(rows), np.ones(15))


@pytest.mark.parametrize(
    "name", sorted(set(OURS) - {"foolsgold", "norm-clipping", "norm-threshold"})
)
def test_float32_updates_that_nearly_cancel(name):
    """A common offset of a thousand times what tells the clients apart.

    ``|a|^2 + |b|^2 - 2 a.b`` in float32 has no digit of their distances left.
    """
    rows = (1000 + matrix(19, 24, 3, 1)).astype(np.float32)
    exact = rows.astype(np.float64) - 1000
    if name == "centred-clipping":
        wide = {"radius": "1e9"}
        assert difference(result(name, rows, **wide) - 1000, exact.mean(axis=0)) < 1e-9
        return
    assert difference(result(name, rows) - 1000, result(name, exact)) < 1e-5
    assert apply(name, rows).used.tolist() == apply(name, exact).used.tolist()


def test_float32_neighbours_that_nearly_cancel():
    rows = (1000 + matrix(19, 24, 3, 1)).astype(np.float32)
    exact = rows.astype(np.float64) - 1000
    mixes = [PRES.make("nnm", {})(as_view(r), np.ones(19)).matrix for r in (rows, exact)]
    assert (mixes[0] == mixes[1]).all()


@pytest.mark.parametrize(
    ("name", "count", "options", "need"),
    [
        ("krum", 7, {"assume_malicious": "5"}, "f \\+ 3 clients, 8 when 5"),
        ("multi-krum", 2, {}, "f \\+ 3 clients, 3 when 0"),
        ("bulyan", 10, {"assume_malicious": "2"}, "n >= 4 f \\+ 3 with f = 2: at least 11 clients"),
        ("trimmed-mean", 10, {"assume_malicious": "5"}, "n > 2 f with f = 5: at least 11"),
        ("meamed", 10, {"assume_malicious": "50%"}, "n > 2 f with f = 5: at least 11"),
        ("mda", 10, {"assume_malicious": "5"}, "n > 2 f with f = 5: at least 11"),
        ("caf", 10, {"assume_malicious": "5"}, "n > 2 f with f = 5: at least 11"),
        ("multi-krum", 10, {"select": 11}, "select=11"),
        ("geometric-median", 10, {"smoothing": 0.0}, "smoothing"),
        ("geometric-median", 10, {"iterations": 0}, "iterations"),
        ("geometric-median", 10, {"tolerance": -1.0}, "tolerance"),
        ("centred-clipping", 10, {"radius": "wide"}, "radius"),
        ("centred-clipping", 10, {"iterations": 0}, "iterations"),
        ("norm-clipping", 10, {"bound": "-1"}, "bound"),
        ("norm-threshold", 10, {"bound": "0x"}, "bound"),
        ("mda", 10, {"effort": -1}, "effort"),
        ("caf", 10, {"ceiling": "none"}, "ceiling"),
        ("foolsgold", 10, {"confidence": 0.0}, "confidence"),
    ],
)
def test_a_rule_says_what_it_needs(name, count, options, need):
    with pytest.raises(UsageError, match=need):
        apply(name, matrix(count, 4), **options)


@pytest.mark.parametrize(
    ("name", "options", "need"),
    [
        ("nnm", {"assume_malicious": "10"}, "n > f with f = 10"),
        ("arc", {"assume_malicious": "10"}, "n > f with f = 10"),
        ("bucketing", {"size": 0}, "bucketing.size"),
        ("clipping", {"bound": "x"}, "clipping.bound"),
    ],
)
def test_a_pre_aggregation_says_what_it_needs(name, options, need):
    with pytest.raises(UsageError, match=need):
        mixed(name, matrix(10, 4), **options)


@pytest.mark.parametrize("name", sorted(set(OURS) - {"krum", "multi-krum", "bulyan"}))
def test_one_client(name):
    assert difference(result(name, matrix(1, 5)), matrix(1, 5)[0]) < 1e-12


@pytest.mark.parametrize("name", OURS)
def test_updates_of_zero(name):
    done = apply(name, np.zeros((8, 5)))
    assert not vector(done).any()


def test_a_short_radius_of_smoothing_is_told():
    rows = matrix(9, 4) * 1e-9
    assert "plain average" in apply("geometric-median", rows).notes[0]
    assert apply("geometric-median", matrix(9, 4)).notes == ()


def test_nobody_below_the_threshold():
    with pytest.raises(LomarError, match="every update is longer than 1e-06"):
        apply("norm-threshold", matrix(9, 4), bound="1e-6")
