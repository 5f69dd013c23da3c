"""``attack_split``: every attack on splits by its name, and what they share."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from lomar_cli.attacks.label_flip import LabelFlip
from lomar_cli.attacks.on_split import Holdings
from lomar_cli.attacks.registry import ATTACKS, make_split_attack
from lomar_cli.errors import UsageError
from lomar_cli.files.split import read_split
from lomar_cli.stages.attack_split import attack_split
from lomar_cli.stages.label_flip import label_flip
from tests.commands import works

ENOUGH = {"label-flip": {"flip": ["1:7"]}, "backdoor": {"target": "7"}}


def test_every_attack_on_splits_is_known_here():
    assert ENOUGH.keys() == {name for name, entry in ATTACKS.items() if entry.on == "split"}


@pytest.mark.parametrize("name", ENOUGH)
def test_by_name_it_is_what_the_command_writes(name, split, tmp_path):
    output, truth = tmp_path / "a.h5", tmp_path / "a.json"
    done = attack_split(split.split, output, name, ENOUGH[name], convert="3", truth=truth, seed=5)
    (flag, value), *_ = ENOUGH[name].items()
    given = (f"--{flag}", value if isinstance(value, str) else value[0], "--convert", 3)
    same = (tmp_path / "b.h5", "--truth", tmp_path / "b.json", "--seed", 5)
    works("attack", name, split.split, *given, "-o", *same)
    assert output.read_bytes() == same[0].read_bytes()
    assert truth.read_bytes() == (tmp_path / "b.json").read_bytes()
    said = json.loads(truth.read_text())
    assert said["malicious"] == done.malicious
    assert said["attack"] == name
    assert done.samples == len(read_split(output).overlay.position) > 0


def test_label_flip_by_its_own_name_is_the_same(split, tmp_path):
    options = {"flip": ["1:7", "6:9"], "style": "mixed", "poison_fraction": 0.5}
    for name in "ab":
        (tmp_path / name).mkdir()
    attack_split(split.split, tmp_path / "a" / "s.h5", "label-flip", options, malicious="4")
    label_flip(split.split, tmp_path / "b" / "s.h5", ["1:7", "6:9"], "4", None, "mixed", 0.5)
    for file in ("s.h5", "truth.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("label-flop", {}, "label-flip"),
        ("alie", {}, "no attack 'alie' on splits"),
        ("label-flip", {}, "--flip"),
        ("label-flip", {"flip": []}, "--flip"),
        ("label-flip", {"flip": ["1:7"], "stile": "pure"}, "style"),
        ("label-flip", {"flip": ["1:7"], "style": "pur"}, "--style pur"),
        ("label-flip", {"flip": ["1:7"], "poison_fraction": 0.0}, "--poison-fraction"),
        ("label-flip", {"flip": ["1:1"]}, "flips nothing"),
        ("backdoor", {}, "--target"),
        ("backdoor", {"target": "7", "flip": ["1:7"]}, "--flip"),
        ("backdoor", {"target": "7", "parts": 0}, "--parts 0"),
    ],
)
def test_what_is_asked_wrongly_is_refused(name, options, said, split, tmp_path):
    with pytest.raises(UsageError, match=said):
        attack_split(split.split, tmp_path / "x.h5", name, options, malicious="1")
    assert list(tmp_path.iterdir()) == []


def held(own, repeat, truth=(0, 0, 0, 1, 1, 1, 1, 2, 2, 2), seed=0):
    rng = np.random.default_rng(seed)
    return Holdings("d", np.array(truth), "abc", (), [np.array(one) for one in own], rng, repeat)


def test_a_pure_flipper_repeats_samples_evenly_where_the_split_does():
    own = [3, 4, 5, 6, 7, 8, 9, 7]
    (done,) = LabelFlip(flip=["a:b"])(held([own], repeat=True)).clients
    assert sorted(Counter(done.samples.tolist()).values()) == [2, 3, 3]
    assert set(done.samples) == {0, 1, 2}
    assert done.places.tolist() == list(range(8))
    with pytest.raises(UsageError, match="needs 8 different samples of label 'a'"):
        LabelFlip(flip=["a:b"])(held([own], repeat=False))


@pytest.mark.parametrize("seed", range(5))
def test_a_pure_flipper_with_few_others_still_owns_as_many_samples(seed):
    """Its own are mostly source samples, repeated: taking these away would leave it too few."""
    own = [0, 0, 0, 1, 1, 2, 5, 6]
    attack = make_split_attack("label-flip", {"flip": ["a:b"], "poison_fraction": 0.5})
    (done,) = attack(held([own], repeat=True, seed=seed)).clients
    assert len(done.samples) == 8
    assert len(done.places) == 4
    assert set(done.samples[done.places]) == {0, 1, 2}
    assert {5, 6} <= set(done.samples)


@pytest.mark.parametrize(
    ("partition", "allowed"),
    [
        (["--imbalance", 0.5, "--rare", "repeat"], True),
        (["--imbalance", 0.5, "--rare", "refuse"], False),
        (["--imbalance", 0.5, "--rare", "skip"], False),
        (["--scheme", "iid"], False),
    ],
)
def test_the_split_says_whether_samples_are_repeated(partition, allowed, tmp_path):
    clean, output = tmp_path / "s.h5", tmp_path / "p.h5"
    size = ("--clients", 4, "--samples-per-client", 200)
    works("partition", "digits", *size, *partition, "-o", clean)
    if not allowed:
        with pytest.raises(UsageError, match="different samples"):
            attack_split(clean, output, "label-flip", ENOUGH["label-flip"], malicious="2")
        return
    done = attack_split(clean, output, "label-flip", ENOUGH["label-flip"], malicious="2")
    assert {len(own) for own in read_split(output).samples} == {200}
    assert done.samples == 400
