"""Cells of every kind: attacks on splits and rounds, defenses that look beside the round."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib

import numpy as np
import pytest

from lomar_cli.engine.opened import local_engine
from lomar_cli.errors import NotApplicableError, UsageError
from lomar_cli.experiments import sweep
from lomar_cli.experiments.cell import CellRun
from lomar_cli.experiments.plan import make_plan
from lomar_cli.experiments.updates_map import updates_map
from lomar_cli.files.truth import read_truth
from lomar_cli.files.updates import OutputLayer, Updates
from lomar_cli.stages.elsewhere import Place

pytest.importorskip("torch", reason="training needs the extra 'train'")

HEAD = """
rounds = 3
evaluate_every = 2
[data]
name = "digits"
clients = 8
samples_per_client = 30
[training]
local_steps = 3
lr = 0.1
"""
LOMAR = '[[defense]]\nname = "LoMar"\nmethod = "lomar"\n'
PLAIN = '[[defense]]\nname = "No defense"\n'
FLIP = '[attack]\nname = "label-flip"\nflip = ["1:7"]\nmalicious = "2"\n'


def cells(text):
    return make_plan(tomllib.loads(text), "test", False, "test.toml").cells


def rows_of(text, folder, keep="none"):
    (cell,) = cells(text)
    return CellRun(cell, folder / "cell", Place(), keep)()


def test_unattacked_rounds_count_false_alarms(tmp_path):
    first, last = rows_of(HEAD + LOMAR, tmp_path)
    assert first["round"] == 2
    assert last["round"] == 3
    assert last["auc"] is None
    assert last["found"] is None
    flagged = np.array(last["scores"]["suspicion"]) > last["scores"]["threshold"]
    assert last["false_alarms"] == flagged.mean()
    assert last["scores"]["malicious"] == [0] * 8


def test_a_backdoor_is_measured_by_its_success(tmp_path):
    attack = '[attack]\nname = "backdoor"\nmalicious = "3"\noptions = { target = "7" }\n'
    rows = rows_of(HEAD + attack + PLAIN, tmp_path)
    assert 0 <= rows[-1]["attack_success"] <= 1


def test_an_attack_on_rounds_turns_the_same_clients_every_time(tmp_path):
    attack = '[attack]\nname = "sign-flip"\nconvert = "2"\n'
    rows_of(HEAD + attack + LOMAR, tmp_path, keep="all")
    who = read_truth(tmp_path / "cell" / "truth.json").malicious
    assert len(who) == 2
    turned = []
    for number in (1, 2, 3):
        text = (tmp_path / "cell" / f"scores-{number:04d}.h5").read_bytes()
        turned.append(b"attack sign-flip" in text)
    assert all(turned)


def test_flippers_that_boost_what_they_trained(tmp_path):
    """``then``: the clients that the split attack made malicious attack every round as well."""
    then = FLIP + 'then = { name = "boost", options = { boost = 10.0 } }\n'
    rows_of(HEAD + FLIP + PLAIN, tmp_path / "plain", keep="all")
    rows_of(HEAD + then + PLAIN, tmp_path / "boosted", keep="all")
    both = [tmp_path / name / "cell" / "truth.json" for name in ("plain", "boosted")]
    assert read_truth(both[0]).malicious == read_truth(both[1]).malicious
    import h5py

    first = [tmp_path / name / "cell" / "round-0001.h5" for name in ("plain", "boosted")]
    with h5py.File(first[0]) as one, h5py.File(first[1]) as other:
        clients = [name.decode() for name in one["clients/id"][:]]
        bad = np.isin(clients, read_truth(both[0]).malicious)
        before, after = one["updates/fc.weight"][:], other["updates/fc.weight"][:]
    np.testing.assert_array_equal(before[~bad], after[~bad])
    np.testing.assert_allclose(after[bad], 10 * before[bad], rtol=1e-5)


@pytest.mark.parametrize(
    "defense",
    [
        'method = "foolsgold"\nhistory = 2\noptions = { memory = true }',
        'method = "fldetector"\nhistory = 2',
        'method = "fltrust"\nroot_samples = 20',
        'rule = "fltrust"\nroot_samples = 20',
        'method = "zeno"\nroot_samples = 20\nassume_malicious = "true"',
        'rule = "zeno"\nroot_samples = 20',
        'rule = "multi-krum"\npre = ["nnm"]\nassume_malicious = "true"',
    ],
)
def test_defenses_that_look_beside_the_round(defense, tmp_path):
    text = HEAD.replace("rounds = 3", "rounds = 5") + FLIP
    text += f'[[defense]]\nname = "it"\n{defense}\n'
    rows = rows_of(text, tmp_path, keep="all")
    assert rows[-1]["round"] == 5
    if 'method = "fl' in defense:
        # Nothing to look back at in the first round: nobody is judged, everybody averaged.
        late = (tmp_path / "cell" / "scores-0005.h5").exists()
        first = (tmp_path / "cell" / "scores-0001.h5").exists()
        assert (first, late) == ("fltrust" in defense, True)


def test_a_method_without_the_past_it_needs_is_not_applicable(tmp_path):
    with pytest.raises(NotApplicableError, match="--history"):
        rows_of(HEAD + FLIP + '[[defense]]\nname = "it"\nmethod = "fldetector"\n', tmp_path)


def test_networks_start_from_their_own_first_model(tmp_path):
    text = HEAD.replace("local_steps = 3", 'model = "mlp"\nlocal_steps = 3')
    rows = rows_of(text + PLAIN, tmp_path)
    assert rows[-1]["overall"] > 0.15


def test_training_accuracy_and_map_on_demand(tmp_path):
    text = 'measure = ["training", "map"]\n' + HEAD + FLIP + PLAIN
    rows = rows_of(text, tmp_path)
    assert 0 <= rows[0]["training"]["source"] <= 1
    assert "map" not in rows[0]
    found = rows[-1]["map"]
    assert list(found["parts"]) == ["whole update", "label 1", "label 7"]
    assert sum(found["malicious"]) == 2
    assert len(found["parts"]["label 1"]["points"]) == 10


def test_the_map_tells_how_far_the_malicious_lie():
    """By hand: honest at (0, 0) and (2, 0), 1 from their mean; malicious at (1, 3) and (1, 5)."""
    rows = np.array([[0, 0], [1, 3], [2, 0], [1, 5], [np.nan, 0]], np.float32)
    updates = Updates(list("abcde"), np.ones(5, np.int64), {"w": rows[:, None]}, OutputLayer("w"))
    part = updates_map(updates, {"b", "d"}, [])["parts"]["whole update"]
    assert (part["distance"], part["spread"]) == (4.0, 1.0)
    for malicious in ((), "abcd"):
        part = updates_map(updates, set(malicious), [])["parts"]["whole update"]
        assert (part["distance"], part["spread"]) == (None, None)


def test_the_map_holds_principal_components():
    """Against scikit-learn's PCA, up to the sign of each axis."""
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    weight = rng.standard_normal((12, 3, 5)).astype(np.float32)
    updates = Updates(
        [f"c{i:02d}" for i in range(12)],
        np.ones(12, np.int64),
        {"w": weight},
        OutputLayer("w"),
        ("a", "b", "c"),
    )
    found = updates_map(updates, {"c03"}, ["b"])
    assert found["malicious"] == [int(i == 3) for i in range(12)]
    for name, block in (("whole update", weight.reshape(12, -1)), ("label b", weight[:, 1])):
        pca = PCA(2).fit(block.astype(np.float64))
        wanted, got = pca.transform(block), np.array(found["parts"][name]["points"])
        np.testing.assert_allclose(np.abs(got), np.abs(wanted), atol=1e-4)
        assert found["parts"][name]["share"] == pytest.approx(
            pca.explained_variance_ratio_.sum(), abs=1e-5
        )


def test_a_method_and_a_rule_are_both_told(tmp_path):
    """LoMar reckons with no number, the trimmed mean after it does; and a rule sees the root."""
    for rule in ('rule = "trimmed-mean"\nassume_malicious = "true"', 'rule = "fltrust"'):
        text = HEAD + FLIP + LOMAR + rule + "\nroot_samples = 20\n"
        assert rows_of(text, tmp_path / rule[8:12])[-1]["round"] == 3


def test_added_attackers_keep_their_ids_and_draw_anew(tmp_path):
    import h5py

    attack = '[attack]\nname = "gaussian-noise"\nmalicious = "2"\n'
    rows_of(HEAD + attack + PLAIN, tmp_path, keep="all")
    sent, who = [], read_truth(tmp_path / "cell" / "truth.json").malicious
    for number in (1, 2, 3):
        with h5py.File(tmp_path / "cell" / f"round-{number:04d}.h5") as file:
            clients = [name.decode() for name in file["clients/id"][:]]
            assert set(who) < set(clients)
            sent.append(file["updates/fc.weight"][clients.index(who[0])].ravel())
    for one, other in ((0, 1), (1, 2)):
        cosine = sent[one] @ sent[other]
        cosine /= np.linalg.norm(sent[one]) * np.linalg.norm(sent[other])
        assert abs(cosine) < 0.5


def test_what_a_killed_run_left_damaged_is_made_again(tmp_path):
    """A cell that goes on from its second round, with a truth file that was cut short."""
    attack = '[attack]\nname = "sign-flip"\nconvert = "2"\n'
    plan = make_plan(tomllib.loads(HEAD + attack + LOMAR), "test", False, "test.toml")
    (cell,) = plan.cells
    sweep.prepare(plan, tmp_path / "whole", force=False)
    sweep.run_cell(cell, tmp_path / "whole", Place(), "none")
    sweep.prepare(plan, tmp_path / "cut", force=False)

    class Killed(BaseException):
        pass

    def advance(rounds):
        if (tmp_path / "cut" / "work" / cell.key / "model-0002.h5").exists():
            raise Killed

    with pytest.raises(Killed):
        sweep.run_cell(cell, tmp_path / "cut", Place(), "none", advance)
    truth = tmp_path / "cut" / "work" / cell.key / "truth.json"
    truth.write_text(truth.read_text()[:10])
    assert sweep.run_cell(cell, tmp_path / "cut", Place(), "none").status == "done"
    paths = [sweep.result_path(tmp_path / name, cell) for name in ("whole", "cut")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_changed_result_is_found_and_made_again(tmp_path):
    plan = make_plan(tomllib.loads(HEAD + LOMAR), "test", False, "test.toml")
    (cell,) = sweep.prepare(plan, tmp_path, force=False)
    sweep.run_cell(cell, tmp_path, Place(), "none")
    assert sweep.prepare(plan, tmp_path, force=False) == []
    path = sweep.result_path(tmp_path, cell)
    found = json.loads(path.read_text())
    found["rows"][-1]["overall"] = 1.0
    path.write_text(json.dumps(found))
    assert sweep.prepare(plan, tmp_path, force=False) == [cell]


def test_a_folder_of_a_run_killed_at_its_start_is_taken(tmp_path):
    plan = make_plan(tomllib.loads(HEAD + LOMAR), "test", False, "test.toml")
    (tmp_path / "cells").mkdir()
    (tmp_path / "experiment.json").write_text('{"name": ')
    assert sweep.prepare(plan, tmp_path, force=False) == plan.cells
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    with pytest.raises(UsageError, match="holds no experiment"):
        sweep.prepare(plan, tmp_path / "other", force=False)


def test_a_killed_worker_costs_its_cell_only(tmp_path, monkeypatch):
    """A cell whose process is always killed (as for its memory) fails; the others are done."""
    text = "seeds = [0, 1, 2]\n" + HEAD + FLIP + LOMAR + '[[defense]]\nname = "Dies"\n'
    plan = make_plan(tomllib.loads(text), "test", False, "test.toml")
    left = sweep.prepare(plan, tmp_path, force=False)
    monkeypatch.setattr(sweep, "_called", _dies)
    outcomes = sweep.run_cells(left, tmp_path, None, "none", local_engine(2))
    ended = {(one.cell.defense["name"], one.status) for one in outcomes}
    assert ended == {("LoMar", "done"), ("Dies", "failed")}


def _dies(cell, results, place, keep):
    if cell.defense["name"] == "Dies":
        os.kill(os.getpid(), signal.SIGKILL)
    return sweep.run_cell(cell, results, place, keep)


def test_two_runs_at_once_do_every_cell_once(tmp_path):
    """The second waits for the first's cells and takes them over: same results, no debris."""
    path = tmp_path / "sweep.toml"
    path.write_text("seeds = [0, 1]\n" + HEAD + FLIP + LOMAR + PLAIN)
    command = [sys.executable, "-m", "lomar_cli", "run", str(path), "-q", "-o", str(tmp_path / "r")]
    both = [subprocess.Popen([*command, "--jobs", "1"]) for _ in range(2)]
    assert [one.wait(timeout=300) for one in both] == [0, 0]
    found = sorted((tmp_path / "r" / "cells").glob("*.json"))
    assert len(found) == 4
    assert {json.loads(one.read_text())["status"] for one in found} == {"done"}
    assert not list((tmp_path / "r" / "work").iterdir())


def test_workers_end_with_the_run_that_started_them(tmp_path):
    """SIGKILL to the run leaves no worker at work: the rounds stop."""
    path = tmp_path / "sweep.toml"
    text = "seeds = [0, 1, 2, 3]\n" + HEAD.replace("rounds = 3", "rounds = 2000") + FLIP + LOMAR
    path.write_text(text)
    folder = tmp_path / "r"
    command = [sys.executable, "-m", "lomar_cli", "run", str(path), "-q", "-o", str(folder)]
    run = subprocess.Popen([*command, "--jobs", "2"])
    deadline = time.monotonic() + 120
    while len(list(folder.glob("work/*/state.json"))) < 2:
        assert time.monotonic() < deadline, "the run never got to its first rounds"
        time.sleep(0.05)
    run.kill()
    run.wait()

    def done():
        return [
            json.loads(p.read_text())["round"] for p in sorted(folder.glob("work/*/state.json"))
        ]

    for _ in range(100):
        before = done()
        time.sleep(1)
        if done() == before:
            break
    else:
        pytest.fail("workers went on after the run was killed")
    assert max(before) < 2000
    plan = make_plan(tomllib.loads(text), "test", False, "test.toml")
    assert not any(sweep.is_done(folder, cell) for cell in plan.cells)
