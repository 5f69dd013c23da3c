"""Updates that no honest client sends, and rounds that hardly are one: judged, never a crash."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tests.commands import works
from tests.making import tensors, write_round

COUNT, MORE = 12, 17


# A column of the method's own, which a client that was set aside has nothing in.
OWN = {"lomar-auto": "view_near", "lomar": "log_factor"}


def score(path, *options):
    document = json.loads(works("score", path, "--json", *options).stdout)
    return {row["client"]: row for row in document["clients"]}


@pytest.fixture(params=OWN)
def method(request):
    return request.param


@pytest.fixture
def judged(method):
    return lambda path, *options: score(path, "--method", method, *options)


def single(made, value):
    """The value in one place of one client's update."""
    made["fc.weight"][4, 1, 2] = value


def everywhere(made, value):
    made["fc.weight"][4] = value
    made["fc.bias"][4] = value


def in_the_bias(made, value):
    made["fc.bias"][4, 0] = value


@pytest.mark.parametrize("place", [single, everywhere, in_the_bias])
@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e30])
@pytest.mark.parametrize("memory", ["2G", "1"])
def test_a_poisonous_client_is_flagged_and_changes_nobody_elses_row(
    place, value, memory, method, judged, tmp_path
):
    made = tensors(COUNT)
    place(made, value)
    others = [row for row in range(COUNT) if row != 4]
    names = [f"c{row}" for row in range(COUNT)]
    with_it = write_round(tmp_path / "with.h5", made)
    rest = {name: array[others] for name, array in made.items()}
    without = write_round(tmp_path / "without.h5", rest, clients=[names[row] for row in others])
    found = judged(with_it, "--memory", memory)
    expected = judged(without, "--memory", memory)
    bad = found.pop("c4")
    assert bad["keep"] is False
    assert bad["reason"]
    assert bad["suspicion"] > max(row["suspicion"] for row in found.values())
    assert math.isfinite(bad["suspicion"])
    assert bad[OWN[method]] is None
    if (method, memory) == ("lomar-auto", "1"):
        # Read in stretches, products of 12 clients are rounded unlike those of 11.
        assert found.keys() == expected.keys()
        for client, row in found.items():
            assert row == {key: near(value) for key, value in expected[client].items()}
    else:
        assert found == expected


def near(value):
    return pytest.approx(value, rel=1e-5, abs=1e-6) if isinstance(value, float) else value


@pytest.mark.parametrize("value", [np.nan, 1e30])
def test_several_at_once_are_each_flagged(value, judged, tmp_path):
    made = tensors(MORE)
    made["fc.weight"][:5] = value
    found = judged(write_round(tmp_path / "r.h5", made))
    assert [found[f"c{row}"]["keep"] for row in range(5)] == [False] * 5
    rest = {name: array[5:] for name, array in made.items()}
    names = [f"c{row}" for row in range(5, MORE)]
    alone = judged(write_round(tmp_path / "rest.h5", rest, clients=names))
    assert {name: found[name] for name in names} == alone


def test_a_round_of_nothing_but_nan(judged, tmp_path):
    made = {name: np.full_like(array, np.nan) for name, array in tensors(3).items()}
    found = judged(write_round(tmp_path / "r.h5", made))
    assert [row["keep"] for row in found.values()] == [False] * 3
    assert all(row["reason"] for row in found.values())


@pytest.mark.parametrize(
    ("count", "method", "why"),
    [(1, "lomar", "no other client"), (1, "lomar-auto", "too few"), (9, "lomar-auto", "too few")],
)
def test_too_few_to_compare_are_kept_with_a_reason(count, method, why, tmp_path):
    found = score(write_round(tmp_path / "r.h5", count), "--method", method)
    assert len(found) == count
    for row in found.values():
        assert row["keep"] is True
        assert why in row["reason"]


def test_one_client_beside_a_poisonous_one(judged, tmp_path):
    made = tensors(2)
    made["fc.weight"][1] = np.nan
    found = judged(write_round(tmp_path / "r.h5", made))
    assert [found["c0"]["keep"], found["c1"]["keep"]] == [True, False]


def test_two_clients(judged, tmp_path):
    found = judged(write_round(tmp_path / "r.h5", 2))
    assert len(found) == 2
    assert all(math.isfinite(row["suspicion"]) and row["reason"] for row in found.values())


@pytest.mark.parametrize("value", [0.0, 1.5])
@pytest.mark.parametrize(
    "options",
    [
        ("lomar-auto",),
        ("lomar",),
        ("lomar", "--kernel", "gaussian"),
        ("lomar", "--epsilon", "auto"),
    ],
    ids=" ".join,
)
def test_identical_updates_are_all_judged_alike(value, options, tmp_path):
    made = {name: np.full_like(array, value) for name, array in tensors(COUNT).items()}
    found = score(write_round(tmp_path / "r.h5", made), "--method", *options)
    assert len({(row["suspicion"], row["keep"]) for row in found.values()}) == 1
    assert all(row["keep"] for row in found.values())


def test_nearly_all_updates_are_zero(judged, tmp_path):
    made = {
        name: array * (np.arange(COUNT) == 2).reshape(-1, *[1] * (array.ndim - 1))
        for name, array in tensors(COUNT).items()
    }
    found = judged(write_round(tmp_path / "r.h5", made))
    assert all(math.isfinite(row["suspicion"]) for row in found.values())
    zeros = [row for client, row in found.items() if client != "c2"]
    assert len({row["suspicion"] for row in zeros}) == 1


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e18])
def test_the_scale_of_a_round_does_not_matter(scale, judged, tmp_path):
    made = {name: array.astype(np.float64) for name, array in tensors(COUNT).items()}
    small = {name: array * scale for name, array in made.items()}
    found = judged(write_round(tmp_path / "small.h5", small))
    expected = judged(write_round(tmp_path / "usual.h5", made))
    for client, row in found.items():
        assert row["suspicion"] == pytest.approx(expected[client]["suspicion"], abs=1e-6)


def test_without_an_output_layer_and_with_a_scalar_parameter(judged, tmp_path):
    made = {"scale": np.arange(COUNT, dtype="f4"), "w": np.ones((COUNT, 2), "f4")}
    found = judged(write_round(tmp_path / "r.h5", made, output=None))
    assert all(math.isfinite(row["suspicion"]) for row in found.values())


def test_more_neighbours_than_clients_are_clipped(tmp_path):
    path = write_round(tmp_path / "r.h5", 4)
    document = json.loads(works("score", path, "--json", "-m", "lomar", "-k", "50").stdout)
    assert any("k is 3" in note for note in document["notes"])
