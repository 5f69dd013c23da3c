"""``dump --append``: client files are added to a round while others append and read."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

from lomar_cli.errors import InputError
from lomar_cli.files.round import open_round
from tests.commands import command_line, environment, lomar, refused, works
from tests.making import read_updates, tensors, write_base, write_round

BUFFER = "norm.running_mean"


def one(made, row):
    return {name: array[row] for name, array in made.items()}


def save(folder, made, names, **more):
    folder.mkdir(exist_ok=True)
    for row, name in enumerate(names):
        np.savez(folder / f"{name}.npz", **one(made, row), **more)
    return folder


def digest(path):
    with open_round(path) as found:
        return found.sha256


def test_appended_in_two_goes_is_dumped_at_once(tmp_path):
    """Buffers and the output layer are the round's; so is the digest of all of it."""
    made = {**tensors(6), BUFFER: np.arange(12, dtype="f4").reshape(6, 2)}
    names = [f"c{row}" for row in range(6)]
    base = write_base(tmp_path / "base.h5", one({**tensors(1, seed=9), BUFFER: made[BUFFER]}, 0))
    given = ("--base-model", base)
    every = save(tmp_path / "all", made, names)
    first = save(tmp_path / "first", made, names[:2])
    works("dump", every, *given, "-o", tmp_path / "whole.h5")
    works("dump", first, *given, "-o", tmp_path / "r.h5")
    for some in (names[2:5], names[5:]):
        files = [every / f"{name}.npz" for name in some]
        ran = works("dump", *files, *given, "--append", "-o", tmp_path / "r.h5")
    assert ran.stdout == ""
    assert "1 client appended, it holds 6" in ran.stderr
    assert digest(tmp_path / "r.h5") == digest(tmp_path / "whole.h5")
    with open_round(tmp_path / "r.h5") as found:
        assert found.head.buffers == {BUFFER}
        stages = [(step["stage"], step["options"].get("first")) for step in found.provenance]
        assert stages == [("dump", None), ("append", 2)]
        before = found.provenance[1]["inputs"]["round"]
    works("dump", first, *given, "-o", tmp_path / "before.h5")
    assert before == digest(tmp_path / "before.h5")
    differ = json.loads(lomar("diff", tmp_path / "r.h5", tmp_path / "whole.h5", "--json").stdout)
    assert [entry["about"] for entry in differ["differences"]] == ["provenance"]


def test_two_commands_append_100_each(tmp_path):
    count = 100
    path = write_round(tmp_path / "r.h5", 2, num_examples=[1, 1])
    running, sent = [], {}
    for who in "ab":
        made = tensors(count, seed=ord(who))
        names = [f"{who}{row}" for row in range(count)]
        sent |= {name: one(made, row) for row, name in enumerate(names)}
        clients = save(tmp_path / who, made, names)
        line = command_line("dump", clients, "--differences", "--append", "-o", path)
        running.append(subprocess.Popen(line, env=environment(), stderr=subprocess.PIPE, text=True))
    seen = []
    while any(process.poll() is None for process in running):
        try:
            with open_round(path) as found:
                seen.append(len(found.head.clients))
        except InputError as error:
            assert "is being written" in str(error)
    assert [process.communicate()[1].count("\n") for process in running] == [1, 1]
    assert [process.returncode for process in running] == [0, 0]
    assert seen == sorted(seen)
    with open_round(path) as found:
        clients = list(found.head.clients)
    assert len(clients) == 2 + 2 * count
    assert set(clients) == {"c0", "c1", *sent}
    updates = read_updates(path)
    for row, client in enumerate(clients[2:], start=2):
        for name, array in sent[client].items():
            np.testing.assert_array_equal(updates[name][row], array)


ODD = {
    "a client that is there": ("c1", {}, "there is a client 'c1' already"),
    "another shape": ("0", {"fc.bias": np.ones(4, "f4")}, "has shape (4,), r.h5 has (3,)"),
    "another type": ("0", {"fc.bias": np.ones(3)}, "has type float64, r.h5 has float32"),
    "one more": ("x", {"more": np.ones(3, "f4")}, "more"),
    "a count where none have": ("x", {"num_examples": np.int64(600)}, "--weights"),
}


@pytest.mark.parametrize("what", ODD)
def test_all_are_checked_before_the_first_is_appended(what, tmp_path):
    name, change, message = ODD[what]
    path = write_round(tmp_path / "r.h5", 3, num_examples=[1] * 3)
    clients = save(tmp_path / "clients", tensors(1), ["a-good-one"])
    np.savez(clients / f"{name}.npz", **{**one(tensors(1), 0), **change})
    refused(tmp_path, 3, [message], "dump", clients, "--differences", "--append", "-o", path)


def test_weights_count_before_the_files(tmp_path):
    path = write_round(tmp_path / "r.h5", 2, num_examples=[600, 500])
    clients = save(tmp_path / "clients", tensors(2), ["x", "y"])
    line = ("dump", clients, "--differences", "--append", "-o", path)
    refused(tmp_path, 3, ["--weights"], *line)
    (tmp_path / "w.csv").write_text("client,num_examples\nx,7\n")
    refused(tmp_path, 3, ["'y'"], *line, "--weights", tmp_path / "w.csv")
    (tmp_path / "w.csv").write_text("client,num_examples\nx,7\ny,8\n")
    works(*line, "--weights", tmp_path / "w.csv")
    with open_round(path) as found:
        assert found.head.num_examples.tolist() == [600, 500, 7, 8]


def test_only_the_model_that_the_round_starts_from(tmp_path):
    base = write_base(tmp_path / "base.h5", one(tensors(1, seed=9), 0))
    other = write_base(tmp_path / "other.h5", one(tensors(1, seed=8), 0))
    path, clients = tmp_path / "r.h5", save(tmp_path / "clients", tensors(2), ["x", "y"])
    works("dump", clients / "x.npz", "--base-model", base, "-o", path)
    more = ("dump", clients / "y.npz", "--append", "-o", path)
    refused(tmp_path, 3, ["is not the model that"], *more, "--base-model", other)
    works(*more, "--base-model", base)
    unknown = write_round(tmp_path / "u.h5", 2, num_examples=[1, 1])
    line = ("dump", clients / "y.npz", "--append", "-o", unknown, "--base-model", base)
    refused(tmp_path, 2, ["does not say which model"], *line)


@pytest.mark.parametrize("more", [("-f",), ("--round", 2), ("--exclude", "fc.*")])
def test_what_the_round_settles_cannot_be_said(more, tmp_path):
    path = write_round(tmp_path / "r.h5", 2)
    clients = save(tmp_path / "clients", tensors(1), ["x"])
    line = ("dump", clients, "--differences", "--append", "-o", path, *more)
    refused(tmp_path, 2, ["settled by the round"], *line)


def test_there_must_be_a_round(tmp_path):
    clients = save(tmp_path / "clients", tensors(1), ["x"])
    line = ("dump", clients, "--differences", "--append", "-o", tmp_path / "r.h5")
    refused(tmp_path, 2, ["without --append"], *line)
