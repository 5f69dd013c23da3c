"""What the benchmarks of detection and damage count, and that they go on where they were."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from lomar_cli.engine.local import Serial
from lomar_cli.files.round import open_rounds
from lomar_cli.learning.metrics import auc
from lomar_cli.scoring.sums import Wanted
from lomar_cli.stages import far

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module", autouse=True)
def _benchmarks_are_importable():
    before = list(sys.path)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield
    sys.path[:] = before


@pytest.fixture
def world():
    from _worlds import World

    return World("digits", "0.5", 1, 12, 30)


def page():
    spec = importlib.util.spec_from_file_location("page", ROOT / "docs" / "generate_detection.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_results_file_goes_on_after_a_torn_line(tmp_path):
    from _results import Results

    file = Results(tmp_path / "r.csv", ("a", "b"), ("c",))
    assert file.read() == []
    file.append([{"a": "1", "b": "2", "c": "x,y"}])
    with file.path.open("a") as stream:
        stream.write("1,3,to")
    assert file.done() == {("1", "2")}
    file.append([{"a": "1", "b": "4"}])
    assert [row["b"] for row in file.read()] == ["2", "4"]
    assert file.read()[0]["c"] == "x,y"
    file.drop("b", ["2"])
    assert file.done() == {("1", "4")}
    with pytest.raises(SystemExit, match="other columns"):
        Results(file.path, ("a", "b"), ("d",)).read()


def test_rounds_are_the_same_from_the_cache(world, tmp_path):
    from _rounds import Rounds

    for name in ("honest", "mixed 1:7", "backdoor 7"):
        fresh = Rounds(world, None).part(3, name)
        made = Rounds(world, tmp_path).part(3, name)
        kept = Rounds(world, tmp_path)
        kept._train = None  # Nothing may be trained again.
        again = kept.part(3, name)
        for key in fresh.tensors:
            np.testing.assert_array_equal(fresh.tensors[key], made.tensors[key])
            np.testing.assert_array_equal(fresh.tensors[key], again.tensors[key])
        np.testing.assert_array_equal(fresh.poisoned, again.poisoned)


def test_rounds_go_on_by_the_average_of_the_honest(world):
    from _rounds import Rounds

    rounds = Rounds(world, None)
    model = {
        name: np.zeros(one.shape[1:]) for name, one in rounds.part(1, "honest").tensors.items()
    }
    for number in (1, 2):
        for name, one in rounds.peek(number, "honest").tensors.items():
            model[name] = model[name] + sum(row.astype(float) for row in one) / len(one)
    for name, value in rounds.model(3).items():
        np.testing.assert_allclose(value, model[name], atol=1e-6)


def test_malicious_is_who_flipped_something(world):
    from _attacks import attacked
    from _parts import part_of
    from _rounds import Rounds

    made = attacked(Rounds(world, None), 1, "mixed", 0.4, ("1:7",))
    flipped = {
        client.client
        for client in part_of(world, "mixed 1:7").clients
        if (world.dataset.y_train[client.samples] != client.labels).any()
    }
    named = {c for c, bad in zip(made.updates.clients, made.malicious, strict=True) if bad}
    assert named == flipped & set(made.updates.clients)
    assert list(made.updates.clients) == sorted(made.updates.clients)
    assert len(made.malicious) == 12 + 5


def test_the_floor_holds_no_sample_of_the_label(world):
    from _parts import part_of

    truth, own = world.dataset.y_train, part_of(world, "own").clients
    for before, after in zip(own, part_of(world, "without 4").clients, strict=True):
        assert (truth[before.samples] == 4).any() or (before.samples == after.samples).all()
        assert not (truth[after.samples] == 4).any()
        assert len(set(after.samples.tolist())) == len(before.samples)


def test_every_attack_makes_a_round(world):
    from _attacks import ATTACKS, attacked
    from _rounds import Rounds
    from _worlds import SIZES

    rounds = Rounds(world, None)
    for name in ATTACKS:
        made = attacked(rounds, 2, name, 0.4, SIZES["digits"].flips)
        assert made.malicious.any() == (name != "none")


def test_the_taught_line_finds_a_faint_direction_beside_loud_ones():
    from _ceiling import separating

    rng = np.random.default_rng(0)
    wide, faint = rng.normal(size=(2, 40))
    faint -= wide * (wide @ faint) / (wide @ wide)

    def drawn(count, step):
        noise = 0.05 * rng.normal(size=(count, 40))
        return 5 * rng.normal(size=(count, 1)) * wide + step * faint + noise

    taught = drawn(200, 0.1)
    # A few loud ones must not decide alone.
    taught[:10] = drawn(10, 30.0)
    line = separating(drawn(200, 0.0), taught)
    clean, guilty = drawn(100, 0.0) @ line, drawn(100, 0.1) @ line
    assert auc(guilty, clean) > 0.99


def row(method, **more):
    said = {
        **{"data": "mnist", "scheme": "paper", "level": "0", "clients": "100", "samples": "200"},
        **{"tau": "0.1", "round": "1", "seed": "1", "attack": "alie", "n": "110", "reason": ""},
        **{"auc": "0.9", "found": "0.5", "false_alarms": "0.0", "separator": ""},
    }
    return {**said, "method": method, **{key: str(value) for key, value in more.items()}}


def bar(rows, name):
    from _bars import judged

    (found,) = (one for one in judged(rows, "mine") if one["bar"] == name)
    return found


def test_bars_are_met_in_the_mean_and_seed_by_seed():
    rows = [
        row("mine", attack="pure", auc=1, found=1, false_alarms=0.0),
        row("mine", attack="pure", auc=1, found=1, false_alarms=0.02, seed=2),
        row("mine", attack="pure", auc=0.9985, found=1, false_alarms=0, level=0.9),
        row("mine", attack="pure", auc=0.5, n=40, tau=0.4),
    ]
    found = bar(rows, "pure flips")
    # 1 % in the mean over two seeds is met, 2 % in one of them is not; 40 clients are too few.
    assert (found["cells"], found["met"]) == ("2", "1")
    assert (found["rounds"], found["rounds_met"]) == ("3", "1")
    assert (found["worst_found"], found["worst_false_alarms"]) == ("1.000", "0.010")


def test_rivals_are_the_other_methods_on_the_same_cell():
    rows = [row("mine", auc=0.9), row("lof", auc=0.915), row("zeno", auc=1)]
    assert bar(rows, "attacks on the round")["met"] == "0"
    rows[1]["auc"] = "0.91"
    assert bar(rows, "attacks on the round")["met"] == "1"
    rows[1]["tau"] = "0.3"
    rows.append(row("lomar", auc=0.95))
    assert bar(rows, "attacks on the round")["met"] == "0"
    assert bar(rows, "all attacks")["met"] == "0"


def test_losses_are_against_the_floor_and_the_best_other():
    from damage_report import judged, summary

    def run(attack, defense, source):
        return {
            **{"data": "mnist", "lambda": "0", "flip": "4:9", "tau": "0.2", "seed": "1"},
            **{"rounds": "25", "attack": attack, "defense": defense, "source": str(source)},
            **{"overall": "0.9", "found": "", "false_alarms": "0.0", "reason": ""},
        }

    rows = [run("floor", "none", 0.8), run("no attack", "none", 0.9), run("mixed", "mine", 0.79)]
    rows += [run("mixed", "none", 0.6), run("framing", "mine", 0.75), run("framing", "none", 0.76)]
    found = {one["bar"]: one for one in judged(summary(rows), "mine")}
    assert (found["framing"]["met"], found["framing"]["greatest_loss"]) == ("0", "0.050")
    assert found["mixed flips 4:9, lambda <= 0.5"]["met"] == "1"
    assert (found["all attacks"]["met"], found["all attacks"]["settings"]) == ("2", "2")


def test_weights_of_a_method_are_used(world, monkeypatch):
    import _course
    from _attacks import together
    from _rounds import Rounds

    made = together(Rounds(world, None), 1, "own", 2)
    weight = np.arange(14, dtype=float)

    class Weighs:
        keep = weight != 13
        suspicion = weight

    Weighs.weight = weight
    monkeypatch.setattr(_course, "METHODS", type("M", (), {"make": lambda *a, **m: None}))
    monkeypatch.setattr(
        _course, "prepare", lambda *a, **m: type("S", (), {"judge": lambda self, method: Weighs})()
    )
    done = _course.defend(made, "mine", 0)
    share = np.where(weight == 13, 0, weight) / weight[:13].sum()
    for name, tensor in made.updates.tensors.items():
        by_hand = sum(s * one.astype(float) for s, one in zip(share, tensor, strict=True))
        np.testing.assert_allclose(done.update[name], by_hand, atol=1e-12)
    assert done.out.tolist() == [False] * 13 + [True]


def test_the_page_is_current():
    made = page()
    assert made.filled(made.PAGE.read_text()) == made.PAGE.read_text()


def test_tables_of_the_page(tmp_path, monkeypatch):
    made = page()
    monkeypatch.setattr(made, "HERE", tmp_path)
    (tmp_path / "detection").mkdir()
    (tmp_path / "detection" / "summary.csv").write_text(
        "data,scheme,level,attack,method,auc,worst_auc,separator\n"
        "mnist,paper,0.9,mixed,a,0.5,0.4,0.99\nmnist,paper,0,mixed,a,0.9,0.8,1.0\n"
        "mnist,paper,0,mixed,b,0.95,0.1,1.0\nmnist,paper,0,pure,b,0.1,0.1,\n"
    )
    text = "<!-- table detection data=mnist attack=mixed -->\nold\n<!-- end -->\n"
    lines = made.filled(text).splitlines()
    assert lines[1:-1] == [
        "| method | lambda 0 | lambda 0.9 |",
        "|---|---|---|",
        "| b | 0.95 (0.1) |  |",
        "| a | 0.9 (0.8) | 0.5 (0.4) |",
        "| taught separator | 1.0 | 0.99 |",
    ]


def test_the_plan_of_a_cluster_counts_what_the_code_asks_for(tmp_path, monkeypatch):
    from _noise import write
    from _plan import Plan

    counted = {}

    class Counting(Serial):
        def unordered(self, function, calls, *more):
            asked = list(calls)
            counted[function.__name__] = len(asked)
            return super().unordered(function, asked, *more)

        def total(self, function, calls, add):
            asked = list(calls)
            counted[function.__name__] = len(asked)
            return super().total(function, asked, add)

    checked, summed, memory = 30_000, 1000, 2**16
    monkeypatch.setattr(far, "CHECKED", checked)
    monkeypatch.setattr(far, "SUMMED", summed)
    monkeypatch.setattr(far, "_LEAST_WIDTH", 2**10)
    plan = Plan(44, 3000, 1, 1, 4, checked=checked, summed=summed, memory=memory)
    with open_rounds(write(tmp_path, 44, 3000, 4), updates=False) as found:
        engine = Counting()
        far._checked(engine, found)
        far._Workers(engine, found, found.updates, memory, "cpu").whole(Wanted(), np.arange(44))
    assert counted == {"check_clients": plan.checks, "make_sums": plan.sums}
    # Two of eleven clients at once; what is summed is twice the n x n sum.
    assert (plan.checks, plan.sums) == (24, 34)


def test_two_states_are_compared_on_the_rows_of_both(tmp_path, monkeypatch, capsys):
    import detection
    import detection_compare

    head = ",".join([*detection.KEYS, *detection.VALUES]) + "\n"
    cell = "digits,paper,0.5,100,100,{tau},1,3,{attack},{method},100,9,{auc},{found},{alarms},1,,\n"

    def row(attack, auc, found, alarms, tau="0.1", method="lomar-auto"):
        return cell.format(**locals())

    (tmp_path / "a.csv").write_text(
        head
        + row("none", "", "", "0.20", "0")
        + row("pure", "0.9", "0.5", "0.10")
        + row("mixed-pairs", "0.8", "0.4", "0")
        + row("alie", "", "", "")
        + row("pure", "0.1", "0", "0.9", method="krum")
    )
    (tmp_path / "b.csv").write_text(
        head
        + row("none", "", "", "0", "0")
        + row("pure", "1", "1", "0")
        + row("alie", "1", "1", "0")
    )
    line = ["x", str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), "-o", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", line)
    detection_compare.main()
    assert len(capsys.readouterr().out.splitlines()) == 2
    with (tmp_path / "states.csv").open() as stream:
        none, pure, whole = csv.DictReader(stream)
    assert (none["attacks"], none["auc_before"], none["worst_before"]) == ("none", "", "0.200")
    assert (pure["found_before"], pure["found_after"], pure["rounds"]) == ("0.500", "1.000", "1")
    assert (whole["rounds"], whole["false_alarms_before"], whole["false_alarms_after"]) == (
        "2",
        "0.150",
        "0.000",
    )
    monkeypatch.setattr(sys, "argv", [*line, "--by", "tau"])
    detection_compare.main()
    with (tmp_path / "states.csv").open() as stream:
        lines = [(one["data"], one["attacks"], one["rounds"]) for one in csv.DictReader(stream)]
    apart = "digits, tau 0", "digits, tau 0.1"
    assert lines == [
        (apart[0], "none", "1"),
        (apart[0], "all", "1"),
        (apart[1], "pure flips", "1"),
        (apart[1], "all", "1"),
    ]


def test_the_detection_page_is_made_of_the_rows_beside_it():
    from _bars import judged
    from _results import Results
    from detection import KEYS, VALUES
    from detection_report import summary

    beside = ROOT / "docs" / "detection"
    rows = Results(beside / "results.csv.xz", KEYS, VALUES).read()
    for name, made in (("bars", judged(rows, "lomar-auto")), ("summary", summary(rows))):
        with (beside / f"{name}.csv").open() as stream:
            assert list(csv.DictReader(stream)) == made, name


@pytest.mark.parametrize(
    ("text", "most"), [("turn=30", 7), ("move=2", 7), ("blur=1", 7), ("dim=0.5@0.3", 2)]
)
def test_pictures_that_look_different(text, most, world):
    """Labels and their number stay; each client has one amount of it, the same in every round."""
    from _parts import looks, part_of

    seen_world = dataclasses.replace(world, pictures=text)
    plain, seen = part_of(world, "honest"), part_of(seen_world, "honest")
    same = 0
    for one, other in zip(plain.clients, seen.clients, strict=True):
        assert one.labels.tolist() == other.labels.tolist()
        before, after = (p.dataset.x_train[c.samples] for p, c in ((plain, one), (seen, other)))
        assert before.shape == after.shape
        same += bool((before == after).all())
        if "dim" in text and not (before == after).all():
            np.testing.assert_allclose(after, before / 2, atol=1)
    from _pictures import amounts

    drawn = amounts(text, len(plain.clients), seen_world.rng(f"honest {text}"))
    assert same == (drawn == 0).sum() < len(drawn)
    # Who tells the kinds tells these.
    told = looks(seen_world)
    assert [told[c.client] for c in seen.clients] == [f"{amount:g}" for amount in drawn]
    for one, other in zip(plain.clients, seen.clients, strict=True):
        before, after = (p.dataset.x_train[c.samples] for p, c in ((plain, one), (seen, other)))
        assert (told[one.client] == "0") == bool((before == after).all())
    found = amounts(text, 1000, np.random.default_rng(0))
    assert len(np.unique(found)) == most
    with pytest.raises(ValueError, match="there is no look"):
        amounts("squint=1", 3, np.random.default_rng(0))


@pytest.mark.parametrize("way", ["top=0.1", "same=0.5", "own=0.5", "levels=4", "signs", "noise=1"])
def test_what_arrives_of_updates(world, way):
    """Each way keeps what it says, client by client; only noise and chance move what is left."""
    from _attacks import attacked
    from _rounds import Rounds
    from _sent import sent

    made = attacked(Rounds(world, None), 1, "none", 0.0, ["1:7"]).updates
    before, after = (
        np.concatenate([np.asarray(t).reshape(len(t), -1) for t in one.tensors.values()], axis=1)
        for one in (made, sent(made, way, 0))
    )
    moved, count = after != 0, before.shape[1]
    if way.startswith("top"):
        most = np.minimum(int(0.1 * count), (before != 0).sum(axis=1))
        assert (moved.sum(axis=1) == most).all()
        for row, kept in zip(np.abs(before), moved, strict=True):
            assert row[kept].min() >= row[~kept].max()
    if way.startswith("same"):
        assert ((moved == moved.any(axis=0)) | (before == 0)).all()
        assert 0.4 < moved.any(axis=0).mean() < 0.6
    if way.startswith("own"):
        assert not (moved == moved[0]).all()
        np.testing.assert_allclose(after[moved], 2 * before[moved], rtol=1e-6)
    if way.startswith("levels"):
        first = after[:, : np.asarray(next(iter(made.tensors.values())))[0].size]
        assert max(len(np.unique(row)) for row in first) <= 4
    if way == "signs":
        assert (np.sign(after) == np.sign(before)).all()
        assert max(len(np.unique(np.abs(row[row != 0]))) for row in after) == 1
    if way.startswith("noise"):
        lengths = [np.linalg.norm(one, axis=1) for one in (before, after - before)]
        assert np.median(lengths[1]) == pytest.approx(np.median(lengths[0]), rel=0.3)
    if way.startswith(("top", "same")):
        np.testing.assert_allclose(after[moved], before[moved], rtol=1e-6)
    with pytest.raises(ValueError, match="there is no way"):
        sent(made, "half", 0)
