"""``score --cluster``: the local verdict, though no process holds the round."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

import h5py
import numpy as np
import pytest

from lomar_cli.engine.local import Serial
from lomar_cli.errors import InputError, LomarError, UsageError
from lomar_cli.files.joined import Joined
from lomar_cli.files.scores import read_scores, render
from lomar_cli.files.updates import OutputLayer
from lomar_cli.scoring.judge import ASIDE
from lomar_cli.stages import far
from lomar_cli.stages.far_calls import Source, check_clients, make_sums
from lomar_cli.stages.score import score
from tests.commands import lomar, works
from tests.engine.cluster import cluster, until
from tests.making import write_round

pytest.importorskip("distributed", reason="needs the extra 'cluster'")

METHODS = ("lomar-auto", "lomar", "krum", "lof", "kde", "spectral", "robust-covariance")


def updates(clients=48, kind=np.float32, axis=0, hidden=300, odd=6):
    """Two layers, the first clients odd."""
    rng = np.random.default_rng(3)
    shape = (4, 9) if axis == 0 else (9, 4)
    made = {
        "body.weight": rng.normal(size=(clients, 7, hidden)),
        "scale": rng.normal(size=clients),
        "head.weight": rng.normal(size=(clients, *shape)),
        "head.bias": rng.normal(size=(clients, 4)),
        "count": rng.normal(size=(clients, 2)) * 1e4,
    }
    lengths = rng.uniform(0.7, 1.3, clients)
    for array in made.values():
        array *= lengths.reshape(-1, *(1 for _ in array.shape[1:]))
        array[:odd] = 2.5 * array[:odd] + 0.5
    return {name: array.astype(kind) for name, array in made.items()}


def shards(folder, sent, parts=3, axis=0):
    """A round of these updates as one file, and as several."""
    count = len(sent["scale"])
    names = [f"c{number:03}" for number in range(count)]
    more = {"output": OutputLayer("head.weight", "head.bias", axis), "buffers": ["count"]}
    one = write_round(folder / "one.h5", sent, names, **more)
    several = []
    for part in np.array_split(np.arange(count), parts):
        path = folder / f"part-{part[0]:03}.h5"
        some = {name: array[part] for name, array in sent.items()}
        several.append(write_round(path, some, [names[row] for row in part], **more))
    return one, several


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Many stretches, many sums and many checks of a small round."""
    monkeypatch.setattr(far, "SUMMED", 2**14)
    monkeypatch.setattr(far, "_TIMES", 0)
    monkeypatch.setattr(far, "_LEAST_WIDTH", 2**12)
    monkeypatch.setattr(far, "CHECKED", 2**15)


def alike(far_scores, here):
    """The same verdict of everybody, and numbers to 1e-5.

    Of the round's largest, where a method's numbers come from all distances together: 32-bit sums
    in another order move each of these by some 1e-7 of the largest.
    """
    assert far_scores.clients == here.clients
    np.testing.assert_array_equal(far_scores.keep, here.keep)
    aside = here.suspicion == ASIDE
    each = here.method in ("lomar-auto", "lomar", "lof")
    scale = 1 if each or aside.all() else here.suspicion[~aside].max()
    near = {"rtol": 1e-5, "atol": 1e-5 * scale}
    np.testing.assert_allclose(far_scores.suspicion, here.suspicion, **near)
    np.testing.assert_array_equal(far_scores.suspicion == ASIDE, aside)
    for name, values in here.columns.items():
        if name.startswith(("view_", "log_factor", "weight")):
            np.testing.assert_allclose(far_scores.columns[name], values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_as_here(method, two_workers, tmp_path):
    one, several = shards(tmp_path, updates())
    here = score(one, name=method)
    assert not here.keep.all(), "nothing to find: the comparison says little"
    alike(score(several, name=method, cluster=two_workers.address, memory=2**16), here)


@pytest.mark.parametrize("method", METHODS)
def test_noise(method, two_workers, tmp_path):
    """Distances nearly tie, so that whoever compares them sees their last digits."""
    rng = np.random.default_rng(8)
    sent = {
        "body": rng.normal(size=(50, 60_000)).astype(np.float32),
        "head": rng.normal(size=(50, 5, 3_000)).astype(np.float32),
    }
    path = write_round(tmp_path / "a.h5", sent, output=OutputLayer("head"))
    alike(score(path, name=method, cluster=two_workers.address), score(path, name=method))


@pytest.mark.parametrize("method", ["krum", "spectral"])
def test_copies_are_flagged_together_or_not_at_all(method, two_workers, tmp_path):
    """Their scores are one but for rounding, and more of them than are to be flagged."""
    sent = updates(odd=0)
    for array in sent.values():
        array[10:24] = array[10] * 3
    path, _ = shards(tmp_path, sent)
    options = {"assume_malicious": "8"}
    here = score(path, name=method, options=options)
    alike(score(path, name=method, options=options, cluster=two_workers.address), here)
    assert len(set(here.keep[10:24])) == 1


@pytest.mark.parametrize(("kind", "axis"), [(">f8", 0), (np.float16, 0), (np.float32, 1)])
def test_types_and_layouts(kind, axis, two_workers, tmp_path):
    _, several = shards(tmp_path, updates(kind=kind, axis=axis), axis=axis)
    for method in ("lomar-auto", "lomar"):
        alike(score(several, name=method, cluster=two_workers.address), score(several, name=method))


@pytest.mark.parametrize("method", ["lomar-auto", "lomar", "krum"])
def test_hostile_clients_judge_nobody(method, two_workers, tmp_path):
    sent = updates(odd=0)
    sent["body.weight"][0, 3, 7] = np.nan
    sent["head.weight"][1, 2, 2] = -np.inf
    sent["scale"][2] = 1e30
    sent["count"][3, 1] = np.inf
    for array in sent.values():
        array[4] = 0
    _, several = shards(tmp_path, sent)
    found = score(several, name=method, cluster=two_workers.address)
    alike(found, score(several, name=method))
    assert (found.suspicion[:5] == ASIDE).all() and (found.suspicion[5:] != ASIDE).all()


def test_nobody_can_be_judged(two_workers, tmp_path):
    sent = updates(6)
    for array in sent.values():
        array[:] = np.nan
    _, several = shards(tmp_path, sent)
    assert not score(several, cluster=two_workers.address).keep.any()


def test_near_copies_share_a_vote(two_workers, tmp_path):
    """The views look at one of each group: where those point is summed once more."""
    sent = updates(odd=0)
    for array in sent.values():
        array[20:23] = array[20]
    _, several = shards(tmp_path, sent)
    found, here = score(several, cluster=two_workers.address), score(several)
    alike(found, here)
    assert here.weight[20] == pytest.approx(1 / 3)


def test_who_stands_for_near_copies_comes_in_any_order(two_workers, tmp_path):
    """The middle of a group may come after that of a later group."""
    sent = updates(odd=0)
    rng = np.random.default_rng(1)
    for array in sent.values():
        off = 0.015 * np.abs(array[40]).mean() * rng.normal(size=array[:2].shape)
        array[8], array[45] = array[40] + off[0], array[40] + off[1]
        array[30:] *= 1.5
        array[8] *= 1.5
    _, several = shards(tmp_path, sent)
    found, here = score(several, cluster=two_workers.address), score(several)
    assert here.weight[[8, 40, 45]] == pytest.approx(1 / 3)
    alike(found, here)


@pytest.mark.parametrize("layers", [["head.*"], ["body.*", "head.weight"]])
def test_some_layers(layers, two_workers, tmp_path):
    _, several = shards(tmp_path, updates())
    for method in ("lomar-auto", "lomar"):
        there = score(several, name=method, layers=layers, cluster=two_workers.address)
        alike(there, score(several, name=method, layers=layers))


def test_without_an_output_layer(two_workers, tmp_path):
    path = write_round(tmp_path / "a.h5", updates(), output=None)
    for method in ("lomar-auto", "lomar"):
        alike(score(path, name=method, cluster=two_workers.address), score(path, name=method))


def test_the_same_bytes_whoever_works(two_workers, tmp_path, monkeypatch):
    _, several = shards(tmp_path, updates())
    there = render(score(several, cluster=two_workers.address), "json")

    @contextlib.contextmanager
    def serial(cluster, jobs, note):
        yield Serial()

    monkeypatch.setattr(far, "open_engine", serial)
    assert render(score(several, cluster="any"), "json") == there


@pytest.mark.parametrize("method", METHODS)
def test_this_process_reads_little(method, two_workers, tmp_path, monkeypatch):
    _, several = shards(tmp_path, updates())
    read = []
    joined = Joined.__getitem__

    def seen(self, key):
        found = joined(self, key)
        read.append((self.shape[1:], found.size // 48))
        return found

    monkeypatch.setattr(Joined, "__getitem__", seen)
    monkeypatch.setattr(Joined, "read", None)
    score(several, name=method, cluster=two_workers.address)
    # Weight and bias once as a whole, for the view on labels; of others what the screen looks at.
    head = [((4,), 4), ((4, 9), 36 if method == "lomar-auto" else 9)]
    assert sorted(read) == [((), 1), *head, ((7, 300), 64)]


def test_a_killed_worker_changes_nothing(two_workers, tmp_path, monkeypatch):
    """One dies while it sums; its calls are made again."""
    from distributed import Client

    monkeypatch.setattr(far, "SUMMED", 2**22)
    monkeypatch.setattr(far, "_LEAST_WIDTH", 2**18)
    _, several = shards(tmp_path, updates(300, hidden=9000))
    before = two_workers.pids()
    died = []

    def kill():
        with Client(two_workers.address, set_as_default=False) as client:

            def busy():
                for worker, keys in client.processing().items():
                    if any("make_sums" in str(key) for key in keys):
                        return worker
                return None

            worker = until(busy)
            os.kill(before[worker], signal.SIGKILL)
            died.append(worker)

    killer = threading.Thread(target=kill)
    killer.start()
    found = score(several, cluster=two_workers.address)
    killer.join()
    assert died
    alike(found, score(several))
    until(lambda: len(two_workers.pids()) == 2)


def test_the_scheduler_gone_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(far, "SUMMED", 2**20)
    _, several = shards(tmp_path, updates(200, hidden=6000))
    (tmp_path / "cluster").mkdir()
    with cluster(tmp_path / "cluster", 1) as made:

        def kill():
            from distributed import Client

            with Client(made.address, set_as_default=False) as client:
                until(lambda: any(map(len, client.processing().values())))
            os.killpg(made.scheduler.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(LomarError, match="the scheduler is gone") as caught:
            score(several, tmp_path / "s.h5", cluster=made.address)
        killer.join()
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "s.h5").exists()


def test_damage_is_named(two_workers, tmp_path):
    _, several = shards(tmp_path, updates())
    with h5py.File(several[1], "r+") as handle:
        handle["updates/body.weight"][2, 0, 0] += 1
    with pytest.raises(InputError, match=r"part-016\.h5.*'c018'.*damaged"):
        score(several, cluster=two_workers.address)


def test_a_file_that_changes_meanwhile(tmp_path):
    _, several = shards(tmp_path, updates())
    with pytest.raises(InputError, match="not the round that it was"):
        check_clients(several[0], "0" * 64, 0, 2)
    with (
        pytest.raises(InputError, match="not the round that it was"),
        Source(tuple(several), "0" * 64).open(),
    ):
        pass


@pytest.mark.parametrize("method", ["foolsgold", "dnc", "ecod", "none"])
def test_methods_that_need_more_say_so(method, tmp_path):
    path = write_round(tmp_path / "a.h5")
    with pytest.raises(UsageError, match=rf"--method {method} reads .*lomar-auto, lomar, krum"):
        score(path, name=method, cluster="local:2")


def test_options_that_do_not_go_together(tmp_path):
    path = write_round(tmp_path / "a.h5")
    ran = lomar("score", path, "--method", "all", "--cluster", "local")
    assert (ran.exit_code, "--cluster" in ran.stderr) == (2, True)
    near = ("--method", "lomar", "--neighbors-search", "approximate", "-k", 2)
    ran = lomar("score", path, *near, "--cluster", "local")
    assert (ran.exit_code, "--cluster" in ran.stderr) == (2, True)


def test_from_the_command_line(two_workers, tmp_path):
    _, several = shards(tmp_path, updates())
    ran = works("score", *several, "--cluster", two_workers.file, "-o", tmp_path / "s.h5")
    assert "2 workers" in ran.stderr
    alike(read_scores(tmp_path / "s.h5"), score(several))
    assert make_sums.__module__ == "lomar_cli.stages.far_calls", "workers find it by this name"
