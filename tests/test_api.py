"""``lomar_cli.score_updates``: light to import, and clear about what it is given."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import lomar_cli
from lomar_cli.errors import InputError, UsageError
from tests.making import tensors


def updates(count=8):
    made = tensors(count)
    return {f"c{row}": {n: a[row] for n, a in made.items()} for row in range(count)}


def test_the_package_is_light_until_it_is_used():
    script = "import sys, lomar_cli; print('numpy' in sys.modules, hasattr(lomar_cli, 'nothing'))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]


def test_arrays_in_a_list_are_judged_as_arrays_by_name():
    named = updates()
    listed = {client: list(arrays.values()) for client, arrays in named.items()}
    one = lomar_cli.score_updates(named, output_layer="fc.weight")
    two = lomar_cli.score_updates(listed)
    np.testing.assert_array_equal(one.suspicion, two.suspicion)


def test_what_is_passed_is_left_as_it_is():
    made = updates()
    before = {c: {n: a.copy() for n, a in arrays.items()} for c, arrays in made.items()}
    lomar_cli.score_updates(made, base_model=before["c0"])
    for client, arrays in made.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, before[client][name])


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_differences_are_those_of_the_whole_stack(kind):
    """Taken row by row they come to the same bits."""
    made = {c: {n: a.astype(kind) for n, a in one.items()} for c, one in updates(12).items()}
    start = {name: np.full_like(array, 1 / 3) for name, array in made["c0"].items()}
    wide = np.result_type(np.dtype(kind), np.float32)
    names = list(made)
    stacked = {n: np.stack([made[c][n] for c in names]).astype(wide) for n in start}
    moved = {n: array - start[n].astype(wide) for n, array in stacked.items()}
    taken = {c: {n: moved[n][row] for n in moved} for row, c in enumerate(names)}
    one = lomar_cli.score_updates(made, base_model=start)
    two = lomar_cli.score_updates(taken)
    np.testing.assert_array_equal(one.suspicion, two.suspicion)


@pytest.mark.parametrize("base", [None, {"w": np.zeros((10, 20_000), np.float32)}])
def test_a_round_is_copied_once(base):
    made = {f"c{n}": {"w": np.full((10, 20_000), n + 1, np.float32)} for n in range(20)}
    whole = 20 * made["c0"]["w"].nbytes
    lomar_cli.score_updates(made, base_model=base, method="none")
    tracemalloc.start()
    try:
        lomar_cli.score_updates(made, base_model=base, method="none")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert whole < peak < 1.5 * whole


def test_labels_and_counts():
    found = lomar_cli.score_updates(
        updates(), labels=["x", "y", "z"], num_examples={f"c{n}": n for n in range(9)}
    )
    assert list(found.columns["num_examples"]) == list(range(8))
    printed = lomar_cli.score_updates(updates(), labels=["x", "y", "z"], method="lomar")
    assert "log_factor_label_z" in printed.columns


@pytest.mark.parametrize("claim", [-1, 0, float("nan"), 2.5, 1e18, 2**64, -(2**63)])
def test_a_claim_of_no_samples_flags_the_client_alone(claim):
    found = lomar_cli.score_updates(
        updates(), num_examples={**dict.fromkeys(updates(), 12), "c3": claim}, method="krum"
    )
    rest = {name: one for name, one in updates().items() if name != "c3"}
    without = lomar_cli.score_updates(rest, method="krum")
    assert found.columns["reason"][3] == "says that it has no samples"
    assert not found.keep[3]
    np.testing.assert_allclose(np.delete(found.suspicion, 3), without.suspicion, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "options", "error", "mention"),
    [
        ({}, {"method": "nothing"}, UsageError, "nothing"),
        ({}, {"labels": ["a"]}, UsageError, "labels"),
        ({}, {"num_examples": {"c0": 1}}, UsageError, "c1"),
        ({}, {"num_examples": dict.fromkeys(updates(), "7")}, InputError, "num_examples"),
        ({}, {"layers": ["x*"]}, UsageError, "--layers"),
        ({"c3": {"fc.weight": np.ones((3, 4), "f4")}}, {}, InputError, "c3"),
        ({"c3": {"fc.weight": np.ones((3, 4)), "fc.bias": np.ones(3)}}, {}, InputError, "c3"),
        ({"c3": {"fc.weight": ["a"], "fc.bias": ["b"]}}, {}, InputError, "c3"),
        ({"\x1b[2J": {}}, {}, InputError, "refused"),
        ({7: {}}, {}, InputError, "7 must be a text"),
        ({"c3": {1: np.ones(3), 2: np.ones(3)}}, {}, InputError, "1 must be a text"),
        ({"c3": {"fc.weight": [[1, 2], [3]], "fc.bias": np.ones(3)}}, {}, InputError, "no array"),
        ({}, {"method": "dnc", "seed": -1}, UsageError, "seed"),
    ],
)
def test_what_does_not_fit_is_said(change, options, error, mention):
    with pytest.raises(error, match=mention):
        lomar_cli.score_updates({**updates(), **change}, **options)


def test_torch_tensors_that_learn_and_half_precision():
    torch = pytest.importorskip("torch")
    plain = updates()
    learning = {
        client: {name: torch.nn.Parameter(torch.from_numpy(a)) for name, a in arrays.items()}
        for client, arrays in plain.items()
    }
    one = lomar_cli.score_updates(plain, output_layer="fc.weight")
    two = lomar_cli.score_updates(learning, output_layer="fc.weight")
    np.testing.assert_array_equal(one.suspicion, two.suspicion)
    short = {c: {n: p.bfloat16() for n, p in a.items()} for c, a in learning.items()}
    wide = {c: {n: p.float().detach().numpy() for n, p in a.items()} for c, a in short.items()}
    np.testing.assert_array_equal(
        lomar_cli.score_updates(short, output_layer="fc.weight").suspicion,
        lomar_cli.score_updates(wide, output_layer="fc.weight").suspicion,
    )
