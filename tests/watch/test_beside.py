"""Which parameters count, what comes before the rule, and what else methods may ask for."""

from __future__ import annotations

import json

import pytest

from lomar_cli.errors import InputError, UsageError
from lomar_cli.files.round import open_round
from lomar_cli.watching import loop
from tests.commands import works
from tests.making import tensors, write_round
from tests.watch.playing import Place, Play, npz, trained


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "place")


@pytest.fixture
def root(tmp_path):
    return write_round(tmp_path / "root.h5", tensors(2, seed=100), ["own-1", "own-2"])


def by_hand(folder, clients, start, number, dump=(), score=(), aggregate=()):
    """The files that the three commands, with these options, make of the same client files."""
    (folder / "clients").mkdir(parents=True)
    for name, arrays in clients.items():
        (folder / "clients" / f"{name}.npz").write_bytes(npz(arrays))
    made, scores = folder / "round.h5", folder / "scores.h5"
    works("dump", folder / "clients", "--base-model", start, "--round", number, *dump, "-o", made)
    works("score", made, *score, "-o", scores)
    model = ("--scores", scores, "--model", start, "-o", folder / "model.npz")
    works("aggregate", made, *aggregate, *model)
    return folder


def same(place, hand, number):
    there = place.verdicts / f"{number:06d}"
    for name in ("round.h5", "scores.h5", "model.npz"):
        assert (there / name).read_bytes() == (hand / name).read_bytes(), (number, name)


def test_parameters_that_are_not_scored_and_what_comes_before_the_rule(place, tmp_path):
    sent = trained(1)
    place.send_all(sent)
    rule = ("--rule", "median", "--pre", "nnm,bucketing")
    watched = ("--base-model", place.base, "--expect", len(sent), "--settle", 0, "--rounds", 1)
    works(
        *("watch", place.incoming, *watched, "--exclude", "fc.bias", *rule),
        *("--set", "rule.bucketing.size=3", "-o", place.verdicts),
    )
    hand = by_hand(
        *(tmp_path / "hand", sent, place.base, 1, ("--exclude", "fc.bias")),
        aggregate=(*rule, "--set", "bucketing.size=3"),
    )
    same(place, hand, 1)
    with open_round(place.verdicts / "000001" / "round.h5") as found:
        assert found.head.buffers == {"fc.bias"}


def test_an_integer_that_is_scored(place):
    sent = {name: {**arrays, "count": [4]} for name, arrays in trained(1).items()}
    place.send_all(sent)
    Play(place).watch(differences=True, base_model=None, judging={"include": ("count",)})
    with open_round(place.verdicts / "000001" / "round.h5") as found:
        assert found.head.buffers == frozenset()


def test_the_root_round_is_that_of_the_moment_when_the_round_is_over(place, root, tmp_path):
    """And a later one is the next round's, also where the watch died in between."""
    first, second = trained(1), trained(2)
    place.send_all(first)
    judging = {"method": "fltrust", "rule": "fltrust", "root": root}

    class Died(BaseException):
        pass

    def die(*given, **more):
        raise Died

    early = root.read_bytes()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Died):
        patch.setattr(loop, "judge", die)
        Play(place).watch(judging=judging)
    write_round(root, tensors(1, seed=101), ["own-1"])
    late = root.read_bytes()
    place.send_all(second)
    Play(place).watch(judging=judging, rounds=2, keep="all")
    start = place.base
    for number, clients, content in ((1, first, early), (2, second, late)):
        folder = tmp_path / f"hand-{number}"
        folder.mkdir()
        (folder / "root.h5").write_bytes(content)
        given = ("--root", folder / "root.h5")
        method, rule = ("--method", "fltrust", *given), ("--rule", "fltrust", *given)
        hand = by_hand(folder, clients, start, number, score=method, aggregate=rule)
        same(place, hand, number)
        start = hand / "model.npz"


def test_earlier_rounds_are_remembered(place, tmp_path):
    sent = {number: trained(number) for number in (1, 2, 3)}
    place.send_all(sent[1])
    play = Play(place, {5: lambda: place.send_all(sent[2]), 9: lambda: place.send_all(sent[3])})
    options = {"method": "foolsgold", "options": {"memory": "true"}, "remember": 1}
    play.watch(rounds=3, judging=options)
    start, before = place.base, ()
    for number, clients in sent.items():
        method = ("--method", "foolsgold", "--set", "memory=true", *before)
        folder = tmp_path / f"hand-{number}"
        hand = by_hand(folder, clients, start, number, score=method, aggregate=before)
        there = place.verdicts / f"{number:06d}"
        for name in ("scores.h5", "model.npz"):
            assert (there / name).read_bytes() == (hand / name).read_bytes(), number
        start, before = hand / "model.npz", ("--history", hand / "round.h5")


def test_the_method_that_foretells_works_once_it_remembers_enough(place):
    place.send_all(trained(1))
    play = Play(
        place, {5: lambda: place.send_all(trained(2)), 9: lambda: place.send_all(trained(3))}
    )
    play.watch(rounds=3, judging={"method": "fldetector", "remember": 2})
    found = [
        json.loads((place.verdicts / f"{number:06d}" / "verdict.json").read_text())
        for number in (1, 2, 3)
    ]
    assert [one["status"] for one in found] == ["failed", "failed", "aggregated"]
    assert "--remember" in found[0]["problem"]


@pytest.mark.parametrize(
    ("keep", "remember", "rounds"),
    [("none", 0, []), ("none", 2, [2, 3]), ("last", 2, [2, 3]), ("last", 1, [3]), ("all", 1, None)],
)
def test_what_is_remembered_is_kept(keep, remember, rounds, place, root):
    place.send_all(trained(1))
    play = Play(
        place, {5: lambda: place.send_all(trained(2)), 9: lambda: place.send_all(trained(3))}
    )
    judging = {"remember": remember, "root": root}
    play.watch(rounds=3, keep=keep, judging=judging)
    for name in ("round.h5", "root.h5"):
        found = [int(path.parent.name) for path in sorted(place.verdicts.glob(f"*/{name}"))]
        assert found == ([1, 2, 3] if rounds is None else rounds), name
    taken = place.incoming / ".lomar" / "taken"
    left = [int(path.name) for path in sorted(taken.iterdir()) if any(path.iterdir())]
    assert left == {"none": [], "last": [3], "all": [1, 2, 3]}[keep]


def test_less_to_remember_after_a_restart(place):
    place.send_all(trained(1))
    play = Play(place, {5: lambda: place.send_all(trained(2))})
    play.watch(rounds=2, keep="all")
    place.send_all(trained(3))
    Play(place).watch(rounds=3)
    assert [path.parent.name for path in place.verdicts.glob("*/round.h5")] == ["000003"]


def test_what_is_refused_before_the_first_round(place, root, tmp_path):
    for judging, kind, mention in (
        ({"root": tmp_path / "none.h5"}, InputError, r"--root .*none\.h5: no such file"),
        ({"root": place.base}, InputError, r"--root .*base\.npz: "),
        ({"pre": ("mnm",)}, UsageError, "mnm"),
        ({"include": ("counts",)}, UsageError, "--include: nothing matches 'counts'"),
        ({"exclude": ("fc.*",)}, UsageError, "no parameter is left"),
    ):
        with pytest.raises(kind, match=mention):
            Play(place).watch(judging=judging)
    assert not list(place.verdicts.glob("0*"))
