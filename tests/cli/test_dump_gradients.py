"""``--gradients``: what a step takes away, in ``dump``, ``dump --append`` and Python."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

import lomar_cli
from lomar_cli.errors import UsageError
from lomar_cli.files.importers.registry import read_parameters
from lomar_cli.files.round import open_round
from tests.commands import lomar, refused, works
from tests.making import read_updates, tensors, write_base

BUFFER, COUNTER = "norm.running_mean", "norm.num_batches_tracked"


def save(folder, made):
    folder.mkdir(exist_ok=True)
    count = len(next(iter(made.values())))
    for row in range(count):
        np.savez(folder / f"c{row}.npz", **{name: array[row] for name, array in made.items()})
    return folder


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_a_round_holds_what_a_step_adds(kind, tmp_path):
    made = {name: array.astype(kind) for name, array in tensors(3).items()}
    more = {BUFFER: np.arange(6, dtype="f4").reshape(3, 2), COUNTER: np.arange(3)}
    clients = save(tmp_path / "clients", {**made, **more})
    works("dump", clients, "--gradients", "0.1", "-o", tmp_path / "r.h5")
    found = read_updates(tmp_path / "r.h5")
    for name, array in made.items():
        wide = np.result_type(kind, np.float32)
        assert found[name].dtype == wide
        np.testing.assert_array_equal(found[name], array.astype(wide) * wide.type(-0.1))
    # No step is known of running statistics and counters: the model's own stay.
    for name in more:
        assert not found[name].any()
    works("score", tmp_path / "r.h5", "-o", tmp_path / "scores.csv")
    works("export", tmp_path / "r.h5", "-o", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as out:
        assert out[COUNTER].dtype == np.int64
    with open_round(tmp_path / "r.h5") as one:
        assert one.provenance[0]["options"]["gradients"] == 0.1
        assert one.provenance[0]["options"]["differences"] is False


def test_a_step_is_taken_by_aggregate(tmp_path):
    made = {**tensors(3), BUFFER: np.ones((3, 2), np.float32)}
    base = {name: array[0] for name, array in tensors(1, seed=9).items()}
    base[BUFFER] = np.float32([5, 6])
    model = write_base(tmp_path / "base.h5", base)
    clients = save(tmp_path / "clients", made)
    works("dump", clients, "--gradients", "0.5", "-o", tmp_path / "r.h5")
    works("aggregate", tmp_path / "r.h5", "--model", model, "-o", tmp_path / "next.npz")
    following = read_parameters(tmp_path / "next.npz").arrays
    np.testing.assert_array_equal(following[BUFFER], base[BUFFER])
    for name in ("fc.weight", "fc.bias"):
        np.testing.assert_allclose(
            following[name], base[name] - 0.5 * made[name].mean(axis=0), rtol=1e-5, atol=1e-6
        )


def test_more_are_appended(tmp_path):
    made = tensors(4)
    works("dump", save(tmp_path / "all", made), "--gradients", "2", "-o", tmp_path / "whole.h5")
    first = {name: array[:3] for name, array in made.items()}
    works("dump", save(tmp_path / "first", first), "--gradients", "2", "-o", tmp_path / "r.h5")
    works(
        *("dump", tmp_path / "all" / "c3.npz", "--gradients", "2", "--append"),
        *("-o", tmp_path / "r.h5"),
    )
    with open_round(tmp_path / "r.h5") as one, open_round(tmp_path / "whole.h5") as other:
        assert one.sha256 == other.sha256


@pytest.mark.parametrize("said", [("--gradients", "0.2"), ("--differences",)])
def test_only_what_a_round_is_made_of_is_appended(said, tmp_path):
    clients = save(tmp_path / "clients", tensors(3))
    works("dump", clients / "c0.npz", "--gradients", "0.1", "-o", tmp_path / "r.h5")
    given = (clients / "c1.npz", *said, "--append", "-o", tmp_path / "r.h5")
    refused(tmp_path, 2, ["was made with --gradients 0.1"], "dump", *given)
    works("dump", clients / "c0.npz", "--differences", "-o", tmp_path / "d.h5")
    given = (clients / "c1.npz", "--gradients", "1", "--append", "-o", tmp_path / "d.h5")
    refused(tmp_path, 2, ["was made with no --gradients"], "dump", *given)


@pytest.mark.parametrize("said", ["\x1b[2J", [1, {}], {"a": 1}, True, 1e400, None])
def test_what_a_strangers_round_says_it_is_made_of_does_no_harm(said, tmp_path):
    clients = save(tmp_path / "clients", tensors(3))
    works("dump", clients / "c0.npz", "--differences", "-o", tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r+") as file:
        steps = json.loads(file["provenance"][()])
        steps[0]["options"]["gradients"] = said
        if said is None:
            del steps[0]["options"]
        del file["provenance"]
        file["provenance"] = np.bytes_(json.dumps(steps))
    given = (clients / "c1.npz", "--differences", "--append", "-o", tmp_path / "r.h5")
    ran = lomar("dump", *given)
    assert ran.exit_code in ((0,) if said is None else (2, 3)), ran.stderr
    assert "\x1b" not in ran.stderr and "Traceback" not in ran.stderr


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "1e-50", "1e39"])
def test_a_learning_rate_is_above_zero(rate, tmp_path):
    clients = save(tmp_path / "clients", tensors(2))
    given = (clients, f"--gradients={rate}", "-o", tmp_path / "r.h5")
    refused(tmp_path, 2, ["--gradients", "above 0"], "dump", *given)


def test_files_hold_one_thing(tmp_path):
    clients = save(tmp_path / "clients", tensors(2))
    given = (clients, "--gradients", "1", "--differences", "-o", tmp_path / "r.h5")
    refused(tmp_path, 2, ["--differences", "--gradients LEARNING_RATE"], "dump", *given)


def test_trained_parameters_that_are_called_gradients_are_named(tmp_path):
    base = {name: 100 + array for name, array in tensors(1).items()}
    near = {
        name: np.concatenate([array + 1e-3 * row for row in range(4)])
        for name, array in base.items()
    }
    ran = works(
        "dump", save(tmp_path / "clients", near), "--gradients", "1", "-o", tmp_path / "r.h5"
    )
    assert (
        "--gradients says that the files hold gradients, but they look like trained" in ran.stderr
    )


def test_python_says_the_same(tmp_path):
    made = tensors(12, seed=3)
    updates = {f"c{row}": {name: a[row] for name, a in made.items()} for row in range(12)}
    away = {
        client: {name: -array for name, array in one.items()} for client, one in updates.items()
    }
    expected = lomar_cli.score_updates(updates)
    found = lomar_cli.score_updates(away, gradients=True)
    assert found.suspicion.tobytes() == expected.suspicion.tobytes()
    assert list(found.columns["reason"]) == list(expected.columns["reason"])
    works("dump", save(tmp_path / "c", made), "--gradients", "1", "-o", tmp_path / "r.h5")
    ran = works("score", tmp_path / "r.h5", "--json")
    by_command = {row["client"]: row["suspicion"] for row in json.loads(ran.stdout)["clients"]}
    of_python = lomar_cli.score_updates(updates, gradients=True)
    for client, suspicion in zip(of_python.clients, of_python.suspicion, strict=True):
        assert by_command[client] == pytest.approx(suspicion, rel=1e-4)
    with pytest.raises(UsageError, match="one or the other"):
        lomar_cli.score_updates(updates, gradients=True, base_model=updates["c0"])
