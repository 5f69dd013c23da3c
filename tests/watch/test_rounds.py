"""When a round is over, what belongs to it, and what comes of it."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from lomar_cli.errors import InputError, LomarError, UsageError
from lomar_cli.files import foreign
from lomar_cli.files.importers.registry import read_parameters
from lomar_cli.files.round import open_round
from tests.commands import works
from tests.making import write_base
from tests.watch.playing import CLIENTS, Place, Play, model, npz, trained


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def verdict(place, number=1):
    return json.loads((place.verdicts / f"{number:06d}" / "verdict.json").read_text())


def lines(place):
    return [
        json.loads(line) for line in (place.verdicts / "metrics.jsonl").read_text().splitlines()
    ]


def by_hand(place, tmp_path, clients, start, number):
    """The files that the three commands make of the same client files."""
    folder = tmp_path / f"hand-{number}"
    (folder / "clients").mkdir(parents=True)
    for name, arrays in clients.items():
        (folder / "clients" / f"{name}.npz").write_bytes(npz(arrays))
    made, scores = folder / "round.h5", folder / "scores.h5"
    works("dump", folder / "clients", "--base-model", start, "--round", number, "-o", made)
    works("score", made, "-o", scores)
    works("score", made, "-o", folder / "scores.csv")
    works("aggregate", made, "--scores", scores, "--model", start, "-o", folder / "model.npz")
    return folder


def test_two_rounds_are_what_the_commands_make_of_them(place, tmp_path):
    first, second = trained(1), trained(2)
    first["site-03"]["fc.weight"] = first["site-03"]["fc.weight"] * np.float32(40)
    place.send_all(first)
    play = Play(place, {5: lambda: place.send_all(second)})
    assert play.watch(rounds=2, keep="all") == 2
    start = place.base
    for number, clients in ((1, first), (2, second)):
        hand = by_hand(place, tmp_path, clients, start, number)
        there = place.verdicts / f"{number:06d}"
        for name in ("round.h5", "scores.h5", "scores.csv", "model.npz"):
            assert (there / name).read_bytes() == (hand / name).read_bytes(), (number, name)
        start = there / "model.npz"
    assert "site-03" in verdict(place)["flagged"]
    assert verdict(place)["model"] == "model.npz"
    assert list(place.incoming.glob("*")) == [place.incoming / ".lomar"]
    assert [(line["round"], line["clients"], line["flagged"]) for line in lines(place)] == [
        (n, CLIENTS, len(verdict(place, n)["flagged"])) for n in (1, 2)
    ]
    assert play.warned == []


def test_the_rounds_it_has_done_count(place):
    place.send_all(trained(1))
    assert Play(place).watch() == 1
    assert Play(place).watch() == 1
    place.send_all(trained(2))
    assert Play(place).watch(rounds=2) == 2
    assert [line["round"] for line in lines(place)] == [1, 2]


def test_time_counts_from_the_first_client(place):
    early, late = trained(1), trained(1)
    for name in list(early)[9:]:
        early.pop(name)
    script = {500: lambda: place.send_all(early), 1200: lambda: place.send_all(late)}
    play = Play(place, script)
    play.watch(timeout=600.0)
    assert play.now == pytest.approx(1100, abs=2)
    assert verdict(place)["clients"] == 9
    assert lines(place)[0]["seconds"]["waiting"] == pytest.approx(600, abs=2)


def test_too_few_clients_wait_on(place):
    sent = trained(1)
    names = list(sent)
    script = {
        0: lambda: place.send_all({names[0]: sent[names[0]]}),
        900: lambda: place.send_all({name: sent[name] for name in names[1:6]}),
    }
    play = Play(place, script)
    play.watch(timeout=60.0, least=6)
    assert play.now == pytest.approx(900, abs=2)
    assert verdict(place)["clients"] == 6
    assert sum("waiting on" in line for line in play.said) == 1


def test_what_comes_late_belongs_to_the_next_round(place):
    """Under the same names, while the first round is judged: nothing is lost, nothing mixed up."""
    first, second = trained(1), trained(2)
    place.send_all(first)
    hook = place.folder / "hook.sh"
    staged = place.folder / "staged"
    staged.mkdir()
    for name, arrays in second.items():
        (staged / f"{name}.npz").write_bytes(npz(arrays))
    hook.write_text(f"#!/bin/sh\nmv {staged}/* {place.incoming}\n")
    hook.chmod(0o755)
    Play(place).watch(rounds=2, hook=(str(hook),), keep="all")
    for number, sent in ((1, first), (2, second)):
        taken = place.incoming / ".lomar" / "taken" / f"{number:06d}"
        for name, arrays in sent.items():
            assert (taken / f"{name}.npz").read_bytes() == npz(arrays)


def test_no_more_than_expected_the_oldest_first(place):
    sent = trained(1, clients=CLIENTS + 3)
    place.send_all(dict(reversed(sent.items())))
    Play(place).watch()
    with open_round(place.verdicts / "000001" / "round.h5") as found:
        assert list(found.head.clients) == sorted(sent)[3:]
    left = [path.name for path in sorted(place.incoming.glob("*.npz"))]
    assert left == [f"site-0{row}.npz" for row in range(3)]


def test_a_file_is_complete_when_it_has_settled(place):
    """Names of unfinished files, empty files, and files that grow are left alone."""
    sent = trained(1)
    last = npz(sent.pop("site-11"))
    place.send_all(sent)
    growing = place.incoming / "site-11.npz"

    def grow(part):
        with growing.open("ab") as stream:
            stream.write(part)

    place.send("site-20.npz.TMP", b"x")
    place.send(".site-21.npz", b"x")
    place.send("site-22.part", b"x")
    growing.touch()
    cut = len(last) // 3
    script = {
        50: lambda: grow(last[:cut]),
        53: lambda: grow(last[cut : 2 * cut]),
        56: lambda: grow(last[2 * cut :]),
    }
    play = Play(place, script)
    play.watch(settle=5.0)
    assert play.now == pytest.approx(61, abs=1)
    assert verdict(place)["clients"] == CLIENTS
    assert place.aside() == {}
    left = sorted(path.name for path in place.incoming.iterdir() if path.name != ".lomar")
    assert left == [".site-21.npz", "site-20.npz.TMP", "site-22.part"]


def test_the_first_of_a_client_counts(place):
    sent = trained(1)
    last = sent.pop("site-11")
    place.send_all(sent)
    again = npz({**sent["site-00"], "fc.bias": np.zeros(3, np.float32)})
    script = {
        5: lambda: place.send("site-00.npz", again),
        9: lambda: place.send("site-00.safetensors", again),
        15: lambda: place.send("site-11.npz", npz(last)),
    }
    Play(place, script).watch(keep="all")
    assert list(place.aside()) == ["site-00.npz", "site-00.safetensors"]
    assert all("sent already" in reason for reason in place.aside().values())
    taken = place.incoming / ".lomar" / "taken" / "000001" / "site-00.npz"
    assert taken.read_bytes() == npz(sent["site-00"])
    assert [entry["file"] for entry in verdict(place)["set_aside"]] == list(place.aside())


def test_client_pattern(place):
    for name, arrays in trained(1).items():
        place.send(f"round7_{name}_final.npz", npz(arrays))
    place.send("other.npz", b"x")
    Play(place).watch(client_pattern="_(.+)_")
    with open_round(place.verdicts / "000001" / "round.h5") as found:
        assert list(found.head.clients) == sorted(trained(1))


def updates(clients):
    return {
        name: {key: 0.1 * array for key, array in arrays.items() if key != "num_examples"}
        for name, arrays in clients.items()
    }


def test_differences_are_added_to_a_base_model(place):
    sent = updates(trained(1))
    place.send_all(sent)
    Play(place).watch(differences=True, judging={"method": "none"})
    with np.load(place.base) as base, np.load(place.verdicts / "000001" / "model.npz") as made:
        for name in base.files:
            mean = np.mean([arrays[name] for arrays in sent.values()], axis=0)
            np.testing.assert_allclose(made[name], base[name] + mean, rtol=1e-5)


def test_steps_against_gradients_are_added_to_a_base_model(place):
    sent = updates(trained(1))
    place.send_all(sent)
    Play(place).watch(gradients=0.5, judging={"method": "none"})
    with np.load(place.base) as base, np.load(place.verdicts / "000001" / "model.npz") as made:
        for name in base.files:
            mean = np.mean([arrays[name] for arrays in sent.values()], axis=0)
            np.testing.assert_allclose(made[name], base[name] - 0.5 * mean, rtol=1e-5)


def test_differences_without_a_base_model_give_the_update(place):
    sent = updates(trained(1))
    place.send_all(sent)
    Play(place).watch(differences=True, base_model=None, judging={"method": "none"})
    assert verdict(place)["model"] == "update.npz"
    with np.load(place.verdicts / "000001" / "update.npz") as made:
        mean = np.mean([arrays["fc.bias"] for arrays in sent.values()], axis=0)
        np.testing.assert_allclose(made["fc.bias"], mean, rtol=1e-5)


def test_a_server_that_averages_by_itself(place):
    """Each round starts from what --base-model is when it closes."""
    after = {name: array + 1 for name, array in trained(1, 1)["site-00"].items()}
    after.pop("num_examples")
    place.send_all(trained(1))

    def next_round():
        place.base.write_bytes(npz(after))
        place.send_all(trained(2))

    Play(place, {5: next_round}).watch(rounds=2, keep="all", judging={"aggregate": False})
    assert verdict(place, 2)["status"] == "judged"
    assert verdict(place, 2)["model"] is None
    assert not list(place.verdicts.glob("*/model*"))
    with open_round(place.verdicts / "000002" / "round.h5") as found:
        row = list(found.head.clients).index("site-04")
        moved = trained(2)["site-04"]["fc.bias"] - after["fc.bias"]
        np.testing.assert_array_equal(found.updates.tensors["fc.bias"][row], moved)


def test_a_round_that_cannot_be_judged_does_not_end_the_watch(place):
    place.send_all(trained(1))
    play = Play(place, {5: lambda: place.send_all(trained(2, clients=CLIENTS))})
    play.watch(rounds=2, judging={"method": "fldetector"})
    for number in (1, 2):
        assert verdict(place, number)["status"] == "failed"
        assert "history" in verdict(place, number)["problem"]
    assert len(play.warned) == 2
    assert json.loads((place.verdicts / "state.json").read_text())["model"] is None


def test_a_rule_that_cannot_work_leaves_the_scores(place):
    place.send_all(trained(1))
    options = {"rule": "krum", "assume_malicious": "11"}
    Play(place).watch(judging=options)
    assert verdict(place)["status"] == "failed"
    assert (place.verdicts / "000001" / "scores.csv").is_file()
    assert verdict(place)["model"] is None


@pytest.mark.parametrize(
    ("keep", "rounds"),
    [("none", []), ("last", ["000003"]), ("all", ["000001", "000002", "000003"])],
)
def test_keep(keep, rounds, place):
    play = Play(
        place, {5: lambda: place.send_all(trained(2)), 9: lambda: place.send_all(trained(3))}
    )
    place.send_all(trained(1))
    play.watch(rounds=3, keep=keep)
    taken = place.incoming / ".lomar" / "taken"
    assert sorted(p.name for p in taken.iterdir() if any(p.iterdir())) == rounds
    assert sorted(p.parent.name for p in place.verdicts.glob("*/round.h5")) == rounds
    assert len(list(place.verdicts.glob("*/model.npz"))) == 3


@pytest.mark.parametrize("ending", ["npz", "safetensors", "pt", "h5"])
def test_models_are_written_as_the_base_model_is(ending, place):
    if ending == "pt":
        pytest.importorskip("torch", reason="torch files need the extra 'train'")
    base = place.folder / f"start.{ending}"
    if ending == "h5":
        write_base(base, model())
    else:
        with base.open("wb") as stream:
            foreign.write_client(stream, ending, model(), 1)
    place.send_all(trained(1))
    play = Play(place, {5: lambda: place.send_all(trained(2))})
    play.watch(base_model=base, rounds=2)
    made = place.verdicts / "000002" / f"model.{ending}"
    assert verdict(place, 2)["model"] == made.name
    expected = read_parameters(base).arrays
    found = read_parameters(made).arrays
    assert {n: a.shape for n, a in found.items()} == {n: a.shape for n, a in expected.items()}
    assert not np.array_equal(found["fc.bias"], expected["fc.bias"])


def test_a_folder_that_allows_no_renames(place, monkeypatch):
    def refuse(self, target):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(LomarError, match="cannot be moved"):
        Play(place).watch()


REFUSED = {
    "a method": ({"judging": {"method": "lomarr"}}, UsageError, "did you mean"),
    "an option": ({"judging": {"options": {"bandwidth": "1"}}}, UsageError, "--bandwidth"),
    "a rule": ({"judging": {"rule": "mode"}}, UsageError, "--rule"),
    "what they hold": ({"base_model": None}, UsageError, "--differences"),
    "least": ({"least": 13}, UsageError, "--least 13"),
    "a pattern": ({"client_pattern": "("}, UsageError, "--client-pattern"),
    "a program": ({"hook": ("no-such-program",)}, UsageError, "--exec"),
    "keep": ({"keep": "some"}, UsageError, "--keep-files"),
    "weights": ({"judging": {"weights_by": "size"}}, UsageError, "--weights"),
    "an output layer": ({"judging": {"output_layer": "fc"}}, UsageError, "--output-layer"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_options_are_refused_before_the_first_round(what, place):
    changes, kind, mention = REFUSED[what]
    with pytest.raises(kind, match=mention):
        Play(place).watch(**changes)


def test_folders_that_are_none(place):
    with pytest.raises(UsageError, match="lies in"):
        Play(Place(place.folder)).place.verdicts.mkdir()
        other = Place(place.folder)
        other.verdicts = other.incoming / "verdicts"
        Play(other).watch()
    (place.verdicts / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        Play(place).watch()
    (place.verdicts / "thesis.txt").unlink()
    (place.verdicts / "state.json").write_text('{"format": "lomar/watch", "version": 1}')
    with pytest.raises(InputError, match=r"state\.json"):
        Play(place).watch()
    (place.verdicts / "state.json").write_text('{"format": "lomar/watch", "version": 2}')
    with pytest.raises(InputError, match="upgrade"):
        Play(place).watch()
    place.incoming.rename(place.folder / "gone")
    with pytest.raises(InputError, match="no such folder"):
        Play(place).watch()


def test_two_watchers_on_one_folder(place):
    """The second ends with a line, whichever of the two folders it shares."""
    other = Place(place.folder)
    other.verdicts = place.folder / "others"
    beside = Place(place.folder / "beside")
    beside.verdicts = place.verdicts
    refused = []

    def second():
        for one in (place, other, beside):
            with pytest.raises(LomarError, match="another lomar watch") as caught:
                Play(one).watch()
            refused.append(caught.value.exit_code)
        place.send_all(trained(1))

    Play(place, {3: second}).watch()
    assert refused == [1, 1, 1]
    assert verdict(place)["clients"] == CLIENTS


def test_the_date_may_jump(place, monkeypatch):
    """Only the monotonic clock counts; the date is for people."""
    import time

    jumps = iter([0.0, 4e9, -4e9] * 10_000)
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + next(jumps))
    sent = trained(1)
    sent.pop("site-11")
    place.send_all(sent)
    play = Play(place)
    play.watch(timeout=600.0, settle=5.0)
    assert play.now == pytest.approx(605, abs=2)
    assert verdict(place)["clients"] == CLIENTS - 1
