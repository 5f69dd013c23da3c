"""What holds for every attack on rounds: who is turned, what stays as it was, and who can know."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from lomar_cli.attacks.context import Earlier
from lomar_cli.attacks.registry import ATTACKS, make_round_attack, round_attack
from lomar_cli.errors import InputError, UsageError
from lomar_cli.files.round import open_round
from lomar_cli.files.updates import Updates
from lomar_cli.stages.attack_round import Sources, Who, attack_round
from lomar_cli.stages.poison import Knowledge, add, turn
from tests.making import LAYER, read_updates, tensors, write_json, write_round

NAMES = [name for name, entry in ATTACKS.items() if entry.on == "round"]
KNOWING = [name for name in NAMES if round_attack(name).knows]
CLIENTS, FEATURES = 16, 6
IDS = [f"c{number:07x}" for number in np.random.default_rng(0).permutation(CLIENTS) * 99_999]


def updates(seed=0):
    # Not centred on zero, so that there is a direction to work against.
    made = {name: 1 + array for name, array in tensors(CLIENTS, 3, FEATURES, seed).items()}
    counts = np.arange(10, 10 + CLIENTS)
    return Updates(IDS, counts, made, LAYER, ("a", "b", "c"))


def earlier(seed=5):
    block = np.random.default_rng(seed).normal(size=(CLIENTS, 3 * FEATURES + 3))
    return Earlier(IDS, block, np.ones(CLIENTS))


def known(name, scope="all", **more):
    return Knowledge(scope, earlier=earlier() if name == "free-rider-replay" else None, **more)


def by_client(found):
    rows = {client: row for row, client in enumerate(found.clients)}
    return {
        client: b"".join(found.tensors[name][row].tobytes() for name in found.tensors)
        for client, row in rows.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_turned_clients_change_and_nobody_else(name):
    before = updates()
    done = turn(before, make_round_attack(name, {}), 4, known(name), seed=3)
    assert list(done.updates.clients) == sorted(IDS)
    assert len(done.malicious) == 4
    old, new = by_client(before), by_client(done.updates)
    assert {client for client in IDS if old[client] != new[client]} <= set(done.malicious)
    if name not in ("adaptive-lomar", "stealth-model-poison"):
        assert {client for client in IDS if old[client] != new[client]} == set(done.malicious)
    counts = dict(zip(before.clients, before.num_examples, strict=True))
    assert [counts[client] for client in done.updates.clients] == list(done.updates.num_examples)
    for key, array in done.updates.tensors.items():
        assert array.dtype == before.tensors[key].dtype
        assert array.shape == before.tensors[key].shape


@pytest.mark.parametrize("name", NAMES)
def test_added_clients_look_like_the_others(name):
    attack = make_round_attack(name, {})
    done = add(updates(), attack, 5, known(name), seed=3)
    assert list(done.updates.clients) == sorted(done.updates.clients)
    assert len(done.updates.clients) == CLIENTS + 5
    assert set(done.malicious) == set(done.updates.clients) - set(IDS)
    assert all(re.fullmatch("c[0-9a-f]{7}", client) for client in done.malicious)
    assert set(done.updates.num_examples) == set(updates().num_examples)
    old, new = by_client(updates()), by_client(done.updates)
    assert all(old[client] == new[client] for client in IDS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", [turn, add])
def test_the_seed_decides_everything(name, how):
    attack = make_round_attack(name, {})
    one, same, other = (how(updates(), attack, 4, known(name), seed) for seed in (1, 1, 2))
    assert by_client(one.updates) == by_client(same.updates)
    assert one.malicious == same.malicious != other.malicious


@pytest.mark.parametrize("name", KNOWING)
def test_own_knowledge_looks_at_nobody_else(name):
    attack, own = make_round_attack(name, {}), known(name, "own")
    done = turn(updates(), attack, 6, own, seed=3)
    mine = np.array([client in done.malicious for client in IDS])
    changed = updates()
    for array in changed.tensors.values():
        array[~mine] = 7 - 3 * array[~mine] ** 2
    again = turn(changed, attack, 6, own, seed=3)
    assert again.malicious == done.malicious
    old, new = by_client(done.updates), by_client(again.updates)
    assert all(old[client] == new[client] for client in done.malicious)
    assert all(old[client] != new[client] for client in IDS if client not in done.malicious)


@pytest.mark.parametrize("name", ["alie", "ipm", "min-max", "sybil-groups"])
def test_full_knowledge_looks_at_the_honest_only(name):
    attack = make_round_attack(name, {})
    done = turn(updates(), attack, 6, known(name), seed=3)
    mine = np.array([client in done.malicious for client in IDS])
    changed = updates()
    for array in changed.tensors.values():
        array[mine] *= -2
    new, old = (
        by_client(turn(changed, attack, 6, known(name), seed=3).updates),
        by_client(done.updates),
    )
    assert all(old[client] == new[client] for client in IDS)


@pytest.mark.parametrize("name", NAMES)
def test_buffers_take_no_part_and_stay_as_they_are(name):
    """The crafted updates are those of a round that never had buffers, to the bit."""
    plain = updates()
    counters = (np.arange(CLIENTS, dtype="f8") * 1e6)[:, None]
    # Before and behind the parameters, so that their places in a flat update would differ.
    around = {"a.num_batches_tracked": counters, **plain.tensors, "z.running_var": counters + 0.5}
    with_buffers = replace(plain, tensors=around, buffers=frozenset(around) - set(plain.tensors))
    attack = make_round_attack(name, {})
    for how in (turn, add):
        expected = how(plain, attack, 4, known(name), seed=3)
        done = how(with_buffers, attack, 4, known(name), seed=3)
        assert done.malicious == expected.malicious
        assert list(done.updates.tensors) == list(around)
        assert done.updates.buffers == with_buffers.buffers
        assert by_client(done.updates.scored()) == by_client(expected.updates)
        rows = {client: row for row, client in enumerate(done.updates.clients)}
        for key in with_buffers.buffers:
            found = done.updates.tensors[key]
            for row, client in enumerate(IDS):
                assert found[rows[client]] == around[key][row]
            for client in set(rows) - set(IDS):
                assert found[rows[client]] in around[key]


def test_a_replayed_round_is_compared_without_its_buffers(tmp_path):
    made = {**tensors(6), "running_var": np.full((6, 2), 1e9, np.float32)}
    marked = {"buffers": {"running_var"}}
    one = write_round(tmp_path / "one.h5", made, **marked)
    two = write_round(tmp_path / "two.h5", {n: a + 1 for n, a in made.items()}, **marked)
    sources = Sources(target_update=two, replay=two)
    for name in ("free-rider-replay", "stealth-model-poison"):
        out = tmp_path / f"{name}.h5"
        truth = tmp_path / f"{name}.json"
        attack_round(one, out, name, {}, Who(convert="2"), sources=sources, truth=truth)
        np.testing.assert_array_equal(read_updates(out)["running_var"], made["running_var"])
        with open_round(out) as found:
            assert found.head.buffers == {"running_var"}


def test_added_clients_start_from_the_rounds_mean_and_deviation():
    done = add(updates(), make_round_attack("boost", {"boost": 1.0}), 3000, seed=1)
    rows = np.array([client in set(done.malicious) for client in done.updates.clients])
    for name, array in done.updates.tensors.items():
        old = updates().tensors[name]
        deviation = old.std(axis=0)
        # Pairs are drawn without replacement, which takes one in n from the covariance.
        shrunk = deviation * np.sqrt(1 - 1 / (CLIENTS - 1))
        assert (np.abs(array[rows].mean(axis=0) - old.mean(axis=0)) < 0.1 * deviation).all()
        np.testing.assert_allclose(array[rows].std(axis=0), shrunk, rtol=0.1)


def test_clients_that_cannot_be_turned():
    broken = updates()
    broken.tensors["fc.bias"][2, 0] = np.nan
    guilty = [IDS[0], IDS[1]]
    everybody = turn(broken, make_round_attack("ipm", {}), 12, known("ipm", guilty=guilty), 1)
    assert not {IDS[0], IDS[1], IDS[2]} & set(everybody.malicious)
    with pytest.raises(UsageError, match="13 can be"):
        turn(broken, make_round_attack("ipm", {}), 14, known("ipm", guilty=guilty))
    with pytest.raises(UsageError, match="no honest client is left"):
        turn(updates(), make_round_attack("ipm", {}), CLIENTS)
    assert len(turn(updates(), make_round_attack("nan", {}), CLIENTS).malicious) == CLIENTS
    with pytest.raises(UsageError, match="NaN"):
        turn(broken, make_round_attack("boost", {}), [IDS[2]])


def test_nobody_turned_changes_nothing():
    done = turn(updates(), make_round_attack("alie", {}), 0)
    assert by_client(done.updates) == by_client(updates())
    assert by_client(add(updates(), make_round_attack("alie", {}), 0).updates) == by_client(
        updates()
    )


def test_unknown_names_get_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'min-max'"):
        round_attack("min-mix")
    with pytest.raises(UsageError, match="did you mean 'boost'"):
        make_round_attack("boost", {"bost": 1})


@pytest.fixture
def file(tmp_path):
    made = updates()
    return write_round(
        tmp_path / "round.h5",
        dict(made.tensors),
        IDS,
        list(made.num_examples),
        base_sha256="ab" * 32,
        labels=["a", "b", "c"],
    )


def test_files_keep_all_but_the_updates(file, tmp_path):
    output = tmp_path / "out.h5"
    done = attack_round(file, output, "sign-flip", {"strength": 2.0}, Who(convert="25%"), seed=4)
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert truth["malicious"] == done.malicious == done.turned
    assert (truth["attack"], truth["convert"], truth["strength"]) == ("sign-flip", 4, 2.0)
    with open_round(file) as old, open_round(output) as new:
        assert new.head.base_sha256 == old.head.base_sha256
        assert (new.head.output, new.head.labels) == (old.head.output, old.head.labels)
        assert new.head.round_number == old.head.round_number
        step = new.provenance[-1]
        assert new.provenance[:-1] == old.provenance
        assert (step["stage"], step["seed"]) == ("attack sign-flip", 4)
        assert step["inputs"] == {"round": old.sha256}
        assert not any(client in json.dumps(new.provenance) for client in IDS)
        before, after = by_client(old.updates), by_client(new.updates)
    assert {client for client in IDS if before[client] != after[client]} == set(done.malicious)


def test_the_same_bytes_again(file, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        attack_round(file, tmp_path / name / "r.h5", "alie", {"jitter": 0.3}, Who(malicious="3"))
    for name in ("r.h5", "truth.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_attacks_in_a_chain_share_one_truth(file, tmp_path):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    one = attack_round(file, tmp_path / "1.h5", "boost", {}, Who(convert="4"), truth=first)
    sources = Sources(also_malicious=first)
    two = attack_round(
        tmp_path / "1.h5", tmp_path / "2.h5", "ipm", {}, Who(convert="4"), "all", sources, second
    )
    assert not set(one.turned) & set(two.turned)
    assert two.malicious == sorted({*one.turned, *two.turned})
    assert two.notes == []
    truth = json.loads(second.read_text())
    assert truth["malicious"] == two.malicious
    assert truth["before"][0]["attack"] == "boost"
    # The mean that IPM turns round is that of clients that neither attack controls.
    honest = [row for row, client in enumerate(IDS) if client not in two.malicious]
    mean = updates().tensors["fc.weight"][honest].mean(axis=0, dtype=np.float64)
    row = sorted(IDS).index(two.turned[0])
    np.testing.assert_allclose(
        read_updates(tmp_path / "2.h5")["fc.weight"][row], -0.5 * mean, rtol=1e-5
    )
    silent = attack_round(
        tmp_path / "1.h5", tmp_path / "3.h5", "ipm", {}, Who(convert="4"), truth=tmp_path / "3.json"
    )
    assert "--also-malicious" in silent.notes[0]


def test_the_clients_of_a_truth_are_turned_with_what_they_sent(file, tmp_path):
    named = write_json(tmp_path / "flippers.json", {"malicious": [IDS[3], IDS[5], "gone"]})
    who = Who(convert_named=named)
    done = attack_round(file, tmp_path / "out.h5", "boost", {"boost": 10.0}, who)
    assert done.malicious == done.turned == sorted([IDS[3], IDS[5]])
    got = read_updates(tmp_path / "out.h5")["fc.bias"]
    for client in done.turned:
        own = updates().tensors["fc.bias"][IDS.index(client)]
        np.testing.assert_allclose(got[sorted(IDS).index(client)], 10 * own, rtol=1e-6)
    stranger = write_json(tmp_path / "strangers.json", {"malicious": ["gone"]})
    with pytest.raises(InputError, match="strangers"):
        who = Who(convert_named=stranger)
        attack_round(file, tmp_path / "x.h5", "boost", {}, who, truth=tmp_path / "x.json")


def test_target_and_replay_come_from_rounds_of_the_same_shape(file, tmp_path):
    target = {name: np.full_like(array[:2], 3) for name, array in updates().tensors.items()}
    target["fc.weight"][1] = 5
    other = write_round(tmp_path / "target.h5", target)
    sources = Sources(target_update=other, replay=other)
    attack_round(file, tmp_path / "a.h5", "boost", {}, Who(convert="16"), sources=sources)
    found = read_updates(tmp_path / "a.h5")
    np.testing.assert_allclose(found["fc.weight"], 40)
    np.testing.assert_allclose(found["fc.bias"], 30)
    with open_round(tmp_path / "a.h5") as made, open_round(other) as given:
        assert made.provenance[-1]["inputs"]["target"] == given.sha256
    strange = write_round(tmp_path / "strange.h5", 3)
    (tmp_path / "truth.json").unlink()
    with pytest.raises(InputError, match=r"strange\.h5"):
        sources = Sources(target_update=strange)
        attack_round(file, tmp_path / "b.h5", "boost", {}, Who(convert="1"), sources=sources)
    assert not (tmp_path / "b.h5").exists()


def test_what_does_not_fit_is_said_before_it_is_tried(file, tmp_path):
    with pytest.raises(UsageError, match="--memory"):
        attack_round(file, tmp_path / "x.h5", "boost", {}, Who(convert="1"), memory=10_000)
    for wrong in ({}, {"malicious": "1", "convert": "1"}):
        with pytest.raises(UsageError, match="--convert-named"):
            Who(**wrong)
    with pytest.raises(UsageError, match="--truth"):
        same = tmp_path / "x.h5"
        attack_round(file, same, "boost", {}, Who(convert="1"), truth=same)


def test_ids_of_another_kind_are_noted(tmp_path):
    strangers = write_round(tmp_path / "round.h5", 8)
    done = attack_round(strangers, tmp_path / "out.h5", "boost", {}, Who(malicious="2"))
    assert "ids" in done.notes[0]
