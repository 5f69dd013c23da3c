"""Sweeps: killed and resumed, in parallel, with cells that fail or do not apply."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lomar_cli.engine.opened import local_engine
from lomar_cli.experiments import sweep
from lomar_cli.experiments.plan import read_plan
from lomar_cli.experiments.report import report

pytest.importorskip("torch", reason="training needs the extra 'train'")

TEXT = """
title = "A test"
rounds = ROUNDS
evaluate_every = 2
seeds = [0]
[data]
name = "digits"
clients = 8
samples_per_client = 30
[attack]
name = "label-flip"
flip = ["1:7"]
malicious = ["2", "4"]
[training]
local_steps = 3
lr = 0.1
[[defense]]
name = "LoMar"
method = "lomar"
[[defense]]
name = "No defense"
[[defense]]
name = "No attack"
clean = true
"""


def written(tmp_path, rounds=4, more=""):
    path = tmp_path / "experiment.toml"
    path.write_text(TEXT.replace("ROUNDS", str(rounds)) + more)
    return path


def run(plan, results, jobs=1):
    left = sweep.prepare(plan, results, force=False)
    return list(sweep.run_cells(left, results, None, "none", local_engine(jobs)))


def digests(results):
    cells = sorted((results / "cells").glob("*.json"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in cells}


def test_runs_and_measures(tmp_path):
    plan = read_plan(str(written(tmp_path)))
    outcomes = run(plan, tmp_path / "results")
    assert [outcome.status for outcome in outcomes] == ["done"] * 5
    rows = json.loads(sweep.result_path(tmp_path / "results", plan.cells[0]).read_text("utf-8"))[
        "rows"
    ]
    assert [row["round"] for row in rows] == [2, 4]
    assert 0 <= rows[-1]["source"] <= 1
    assert len(rows[-1]["scores"]["suspicion"]) == 10
    assert not list((tmp_path / "results" / "work").glob("*"))
    assert run(plan, tmp_path / "results") == []


def test_parallel_gives_the_same_bytes(tmp_path):
    plan = read_plan(str(written(tmp_path)))
    run(plan, tmp_path / "one")
    run(plan, tmp_path / "two", jobs=2)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_killed_and_run_again_ends_the_same(tmp_path):
    """SIGKILL in the middle of a cell; the second run finishes it from its last round."""
    path = written(tmp_path, rounds=6)
    command = [sys.executable, "-m", "lomar_cli", "run", str(path), "--jobs", "1", "-q"]
    killed = subprocess.Popen([*command, "-o", str(tmp_path / "killed")])
    deadline = time.monotonic() + 60
    while not list((tmp_path / "killed").glob("work/*/model-0002.h5")):
        assert time.monotonic() < deadline, "the run never got to its second round"
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    state = next((tmp_path / "killed").glob("work/*/state.json"))
    assert 1 <= json.loads(state.read_text())["round"] < 6
    subprocess.run([*command, "-o", str(tmp_path / "killed")], check=True)
    subprocess.run([*command, "-o", str(tmp_path / "whole")], check=True)
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")


def test_half_written_results_are_found_and_made_again(tmp_path):
    plan = read_plan(str(written(tmp_path)))
    results = tmp_path / "results"
    run(plan, results)
    before = digests(results)
    victim = sweep.result_path(results, plan.cells[1])
    os.truncate(victim, 100)
    assert [outcome.cell.key for outcome in run(plan, results)] == [plan.cells[1].key]
    assert digests(results) == before


def test_failures_do_not_stop_the_sweep(tmp_path):
    """Training that diverges is a failure, a rule with too few clients is not applicable."""
    text = written(tmp_path).read_text().replace("lr = 0.1", "lr = [0.1, 1e38]")
    path = tmp_path / "failing.toml"
    path.write_text(
        text + '[[defense]]\nname = "Bulyan"\nrule = "bulyan"\nassume_malicious = "3"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "lomar_cli", "run", str(path), "-o", str(tmp_path / "r"), "-j", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "failed: all, label-flip 2, LoMar, seed 0: training of client" in done.stderr
    assert "not applicable: all, label-flip 2, Bulyan, seed 0: --rule bulyan" in done.stderr
    assert done.returncode == 1
    plan = read_plan(str(path))
    found = [json.loads(sweep.result_path(tmp_path / "r", cell).read_text()) for cell in plan.cells]
    ended = {"done": [], "failed": [], "not applicable": []}
    for one in found:
        ended[one["status"]].append(one["cell"]["training"]["lr"])
        assert bool(one["rows"]) == (one["status"] == "done")
    assert ended["done"] == [0.1] * 5
    assert ended["failed"] == [1e38] * 7
    assert ended["not applicable"] == [0.1] * 2
    again = sweep.prepare(plan, tmp_path / "r", force=False)
    assert len(again) == 7, "what failed is tried again, what cannot be is not"
    others = [cell for cell in plan.cells if cell not in again]
    refused = sweep.refused(tmp_path / "r", others)
    assert len(refused) == 2, "and is told again"
    assert all(one.reason.startswith("--rule bulyan") for one in refused)


def test_another_experiment_is_not_mixed_in(tmp_path):
    plan = read_plan(str(written(tmp_path)))
    run(plan, tmp_path / "results")
    other = read_plan(str(written(tmp_path, rounds=2)))
    with pytest.raises(Exception, match="another experiment"):
        sweep.prepare(other, tmp_path / "results", force=False)


def test_report_shows_all_of_it(tmp_path):
    pytest.importorskip("matplotlib", reason="figures need the extra 'plot'")
    plan = read_plan(str(written(tmp_path)))
    run(plan, tmp_path / "results")
    report([tmp_path / "results"], tmp_path / "report")
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert {"index.html", "results.csv", "results.md", "roc.png", "by-tau.svg"} <= names
    page = (tmp_path / "report" / "index.html").read_text()
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "LoMar" in page
    report([tmp_path / "results"], tmp_path / "again")
    for name in names:
        first, second = tmp_path / "report" / name, tmp_path / "again" / name
        assert first.read_bytes() == second.read_bytes(), name
    report([tmp_path / "results", tmp_path / "results"], tmp_path / "both")
    assert (tmp_path / "both" / "2-results.csv").is_file()
