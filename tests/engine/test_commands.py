"""run, drill and train on a cluster: the same bytes as here, whoever dies meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess

import numpy as np
import pytest

from lomar_cli.engine.opened import local_engine, open_engine
from lomar_cli.errors import LomarError
from lomar_cli.experiments import sweep
from lomar_cli.experiments.plan import read_plan
from tests.commands import ROOT, command_line, environment, lomar, works
from tests.engine.cluster import cluster, until

pytest.importorskip("distributed", reason="needs the extra 'cluster'")
ROUND = ROOT / "sample_data" / "digits-round.h5"
FEW = ("--attacks", "nan,alie", "--methods", "krum,lomar", "--shares", "10%,30%", "--seeds", 2)
SWEEP = """
title = "A test"
rounds = ROUNDS
evaluate_every = 2
seeds = [0, 1]
[data]
name = "npz"
file = "own.npz"
clients = 8
samples_per_client = 20
[attack]
name = "label-flip"
flip = ["1:2"]
malicious = "2"
[training]
local_steps = 3
lr = [0.1, 1e38]
[[defense]]
name = "LoMar"
method = "lomar"
[[defense]]
name = "Bulyan"
rule = "bulyan"
assume_malicious = "3"
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A data set of three blobs, and a sweep over it that names it by a relative name."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    y = np.tile(np.arange(3), 100)
    x = (rng.normal(size=(300, 5)) + 2 * y[:, None]).astype(np.float32)
    np.savez(folder / "own.npz", x_train=x, y_train=y, x_test=x[:30], y_test=y[:30])
    (folder / "short.toml").write_text(SWEEP.replace("ROUNDS", "4"))
    (folder / "long.toml").write_text(
        SWEEP.replace("ROUNDS", "25").replace("[0.1, 1e38]", "0.1").replace("[0, 1]", "[0]")
    )
    return folder


def digests(results):
    found = [*results.glob("cells/*.json"), results / "experiment.json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@pytest.fixture(scope="module")
def short(own):
    """The short sweep's results, made here one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(own)
        assert lomar("run", "short.toml", "-o", "short", "-j", 1, "-q").exit_code == 1
    return digests(own / "short")


@pytest.fixture(scope="module")
def long(own):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(own)
        works("run", "long.toml", "-o", "long", "-j", 1, "-q")
    return digests(own / "long")


def test_a_sweep_with_failures_and_more(two_workers, own, short, monkeypatch, tmp_path):
    """Relative names, cells that fail and cells that do not apply: the same files in the end."""
    monkeypatch.chdir(own)
    ran = lomar("run", "short.toml", "-o", "there", "--cluster", two_workers.address)
    assert ran.exit_code == 1
    assert ran.stderr.splitlines()[0].startswith(f"on dask at {two_workers.address}, 2 workers")
    assert "dashboard http://" in ran.stderr
    said = [line.split(":")[0] for line in ran.stderr.splitlines()[2:]]
    assert said.count("failed") == 4 and said.count("not applicable") == 2
    assert digests(own / "there") == short
    assert len(list((own / "there" / "cells").glob("*.json"))) == 8
    # What failed stays as it is without a cluster: its folder, from which it would be resumed.
    left = sorted(path.name for path in (own / "there" / "work").iterdir())
    assert left == sorted(path.name for path in (own / "short" / "work").iterdir())


def test_local_workers(own, short, monkeypatch, tmp_path):
    monkeypatch.chdir(own)
    command = command_line("run", "short.toml", "-o", tmp_path / "r", "--cluster", "local:2")
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.returncode == 1
    assert done.stderr.startswith("on dask on this machine, 2 workers")
    # Nothing but our own lines: Dask keeps silent.
    assert all(
        line.split(":")[0] in ("failed", "not applicable", str(tmp_path / "r"))
        for line in done.stderr.splitlines()[1:]
    )
    assert digests(tmp_path / "r") == short


def test_completion_in_any_order(own, short, monkeypatch, tmp_path):
    monkeypatch.chdir(own)
    plan = read_plan("short.toml", False)
    left = sweep.prepare(plan, tmp_path, force=False)

    class Backwards:
        """An engine that ends what was begun last first."""

        def __getattr__(self, name):
            return getattr(local_engine(1), name)

        def unordered(self, function, calls, killed=None, ahead=None):
            return (function(*call) for call in reversed(list(calls)))

    ended = [one.cell.key for one in sweep.run_cells(left, tmp_path, None, "none", Backwards())]
    assert ended == [cell.key for cell in reversed(left)]
    assert digests(tmp_path) == short


def start(own, *words):
    command = command_line("run", "long.toml", *words)
    return subprocess.Popen(
        command,
        cwd=own,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )


def some_rounds(results, more_than=3):
    """The cell that has done some rounds, but is not at its end."""
    for state in results.glob("work/*/state.json"):
        if json.loads(state.read_text())["round"] > more_than:
            return state.parent.name
    return None


def test_a_worker_killed_in_mid_cell(two_workers, own, long, tmp_path):
    """By its pid: its cell goes on elsewhere from its last round; nothing is lost or doubled."""
    run = start(own, "-o", tmp_path / "r", "--cluster", two_workers.address)
    until(lambda: some_rounds(tmp_path / "r"))
    for pid in two_workers.pids().values():
        os.kill(pid, signal.SIGKILL)
    _, said = run.communicate(timeout=300)
    assert run.returncode == 0, said
    assert digests(tmp_path / "r") == long
    assert list((tmp_path / "r" / "work").iterdir()) == []
    until(lambda: len(two_workers.pids()) == 2)


def test_the_scheduler_gone_and_resumed_here(own, long, tmp_path, monkeypatch):
    (tmp_path / "dask").mkdir()
    with cluster(tmp_path / "dask", 1) as made:
        run = start(own, "-o", tmp_path / "r", "--cluster", str(made.file))
        until(lambda: some_rounds(tmp_path / "r"))
        made.scheduler.kill()
        _, said = run.communicate(timeout=120)
    assert run.returncode == 1
    assert said.splitlines()[-1].startswith("lomar: error: dask at tcp://")
    assert "the scheduler is gone; what was written stays: run the same command again" in said
    assert "Traceback" not in said
    assert len(digests(tmp_path / "r")) < len(long)
    monkeypatch.chdir(own)
    works("run", "long.toml", "-o", tmp_path / "r", "-j", 1, "-q")
    assert digests(tmp_path / "r") == long


def test_a_run_that_is_killed_is_resumed_there(two_workers, own, long, tmp_path):
    """The workers stop at what nobody waits for any more, and do not hold up the next run."""
    run = start(own, "-o", tmp_path / "r", "--cluster", two_workers.address)
    until(lambda: some_rounds(tmp_path / "r"))
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    again = start(own, "-o", tmp_path / "r", "--cluster", two_workers.address)
    _, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert digests(tmp_path / "r") == long


def test_interrupted(two_workers, own, tmp_path):
    """Ctrl-C: one line, and the workers are free again."""
    run = start(own, "-o", tmp_path / "r", "--cluster", two_workers.address)
    until(lambda: some_rounds(tmp_path / "r"))
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert said.splitlines()[-1] == "lomar: error: interrupted; nothing half-written was left"
    assert "Traceback" not in said


def test_a_cell_that_kills_its_workers(two_workers, own, monkeypatch, tmp_path):
    """As one that needs too much memory: it fails, the others are done."""
    monkeypatch.chdir(own)
    plan = read_plan("short.toml", False)
    left = [cell for cell in sweep.prepare(plan, tmp_path, False) if cell.training["lr"] == 0.1]
    monkeypatch.setattr(sweep, "_called", dies_for_seed_1)
    with open_engine(two_workers.address) as engine:
        found = list(sweep.run_cells(left, tmp_path, None, "none", engine))
    ended = {(one.cell.seed, one.cell.defense["name"]): one for one in found}
    assert len(found) == len(ended) == 4
    assert ended[1, "LoMar"].status == "failed"
    assert "too little memory" in ended[1, "LoMar"].reason
    assert ended[0, "LoMar"].status == "done"
    assert json.loads(sweep.result_path(tmp_path, ended[1, "LoMar"].cell).read_text())[
        "status"
    ] == ("failed")
    until(lambda: len(two_workers.pids()) == 2)


def dies_for_seed_1(cell, results, place, keep):
    if (cell.seed, cell.defense["name"]) == (1, "LoMar"):
        os.kill(os.getpid(), signal.SIGKILL)
    return sweep.run_cell(cell, results, place, keep)


def test_a_worker_without_the_data_set(two_workers, own, tmp_path, monkeypatch):
    """It lies where the workers do not look: they are named, before any cell is tried."""
    monkeypatch.chdir(own)
    with open_engine(two_workers.address) as engine:
        asked = engine.everywhere

        def moved(function, *args):
            if function.__name__ == "_checksum":
                args = (args[0], args[1], "moved.npz", args[3])
            return asked(function, *args)

        engine.everywhere = moved
        plan = read_plan("short.toml", False)
        left = sweep.prepare(plan, tmp_path, False)
        with pytest.raises(LomarError, match=r"worker tcp://127.*moved.npz"):
            list(sweep.run_cells(left, tmp_path, None, "none", engine))
    assert not list((tmp_path / "cells").iterdir())


def test_a_drill(two_workers, tmp_path):
    here = works("drill", ROUND, "-o", tmp_path / "a", "-j", 1, *FEW)
    there = works("drill", ROUND, "-o", tmp_path / "b", "--cluster", two_workers.address, *FEW)
    assert there.stdout == here.stdout
    assert [p.name for p in sorted((tmp_path / "a").iterdir())]
    for path in (tmp_path / "a").iterdir():
        assert (tmp_path / "b" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("model", ["logistic", "mlp"])
def test_training(two_workers, own, tmp_path, monkeypatch, model):
    """More clients than a group holds, and a last group that is not full: the same bytes."""
    if model != "logistic":
        pytest.importorskip("torch", reason="networks need the extra 'train'")
    monkeypatch.chdir(tmp_path)
    size = ("--clients", 37, "--samples-per-client", 20)
    works("partition", "digits", *size, "-o", "split.h5", "-q")
    works("init", "split.h5", "--model", model, "--seed", 3, "-o", "model.h5", "-q")
    how = ("--init", "model.h5", "--local-steps", 4, "--momentum", 0.5, "--seed", 2)
    works("train", "split.h5", *how, "-o", "here.h5", "-j", 2)
    there = works("train", "split.h5", *how, "-o", "there.h5", "--cluster", two_workers.address)
    assert (tmp_path / "there.h5").read_bytes() == (tmp_path / "here.h5").read_bytes()
    assert "37 clients" in there.stderr


def test_training_that_diverges(two_workers, tmp_path):
    size = ("--clients", 20, "--samples-per-client", 20)
    works("partition", "digits", *size, "-o", tmp_path / "split.h5", "-q")
    to = ("-o", tmp_path / "r.h5", "--cluster", two_workers.address)
    ran = lomar("train", tmp_path / "split.h5", "--lr", "1e38", *to)
    assert ran.exit_code == 1
    assert "diverged; lower --lr" in ran.stderr.splitlines()[-1]
    assert not (tmp_path / "r.h5").exists()
