"""Whichever engine works the calls off: the same results, each once, whoever dies."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from lomar_cli.engine.base import added
from lomar_cli.engine.opened import open_engine
from lomar_cli.errors import LomarError
from tests.engine import calls
from tests.engine.cluster import cluster, until

pytest.importorskip("distributed", reason="needs the extra 'cluster'")


@pytest.fixture(params=["serial", "processes", "dask"])
def engine(request):
    if request.param == "dask":
        two = request.getfixturevalue("two_workers")
        with open_engine(two.address) as opened:
            yield opened
    else:
        with open_engine(None, 1 if request.param == "serial" else 2) as opened:
            yield opened


@pytest.fixture
def dask(two_workers):
    with open_engine(two_workers.address) as opened:
        yield opened


def test_every_result_once(engine):
    found = engine.unordered(calls.slower_first, [(number, 9) for number in range(9)])
    assert sorted(found) == [number * number for number in range(9)]


def test_in_order(engine):
    found = engine.ordered(calls.slower_first, [(number, 9) for number in range(9)])
    assert list(found) == [number * number for number in range(9)]


def test_a_window_of_one(engine):
    work = [(number, 3) for number in range(3)]
    assert list(engine.ordered(calls.slower_first, work, ahead=1)) == [0, 1, 4]
    found = engine.unordered(calls.slower_first, iter(work), ahead=1)
    assert sorted(found) == [0, 1, 4]


def test_no_calls(engine):
    assert list(engine.ordered(calls.words, [])) == list(engine.unordered(calls.words, [])) == []
    with pytest.raises(ValueError, match="nothing"):
        engine.total(calls.words, [], calls.joined)


@pytest.mark.parametrize(
    ("many", "sum_"),
    [
        (1, "0"),
        (2, "(0+1)"),
        (3, "((0+1)+2)"),
        (5, "(((0+1)+(2+3))+4)"),
        (7, "(((0+1)+(2+3))+((4+5)+6))"),
        (8, "(((0+1)+(2+3))+((4+5)+(6+7)))"),
    ],
)
def test_sums_have_one_shape(engine, many, sum_):
    assert engine.total(calls.words, ((number,) for number in range(many)), calls.joined) == sum_


def test_few_partial_sums_wait():
    """The counter never holds more than log2(n) + 1 sums of the 100."""
    held, most = 0, 0

    def results():
        nonlocal held, most
        for _ in range(100):
            held += 1
            most = max(most, held)
            yield 1

    def add(left, right):
        nonlocal held
        held -= 1
        return left + right

    assert added(results(), add) == 100
    assert most <= 8


def test_what_is_raised_ends_it(engine):
    with pytest.raises(LomarError, match="1 is refused"):
        list(engine.ordered(calls.refuse, [(1,), (1,)]))
    with pytest.raises(LomarError, match="1 is refused"):
        list(engine.unordered(calls.refuse, [(1,), (1,)]))


@pytest.mark.parametrize("where", ["processes", "dask"])
def test_who_kills_its_process_is_told_from_the_others(where, two_workers):
    with open_engine(two_workers.address if where == "dask" else None, 2) as engine:
        work = [(number, 4) for number in range(1, 9)]
        found = sorted(engine.unordered(calls.die_if, work, killed=calls.dead))
        assert found == [-4, 1, 2, 3, 5, 6, 7, 8]
        with pytest.raises(LomarError, match="memory"):
            list(engine.unordered(calls.die_if, work))
        with pytest.raises(LomarError, match="memory"):
            list(engine.ordered(calls.die_if, work))
    until(lambda: len(two_workers.pids()) == 2)


def test_a_worker_killed_in_mid_call(dask, two_workers, tmp_path):
    """Its call is made again by another process; no result is missing or there twice."""
    found: list[int] = []
    work = [(tmp_path, number) for number in range(6)]
    thread = threading.Thread(
        target=lambda: found.extend(dask.unordered(calls.mark_and_wait, work))
    )
    thread.start()
    # Not when the files are there: that is before the processes are in them.
    until(lambda: len(begun(tmp_path)) == 2)
    victim = int((tmp_path / "0").read_text().split()[0])
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(begun(tmp_path)) == 3)
    (tmp_path / "go").touch()
    thread.join(60)
    assert sorted(found) == list(range(6))
    assert len(set((tmp_path / "0").read_text().split())) == 2
    assert len(begun(tmp_path)) == 7
    until(lambda: len(two_workers.pids()) == 2)


def begun(folder):
    """The processes that calls were begun in, one a call."""
    return [pid for path in folder.glob("[0-9]") for pid in path.read_text().split()]


def test_the_scheduler_dies(tmp_path):
    with cluster(tmp_path, 1) as made, open_engine(made.address) as engine:
        results = engine.unordered(calls.mark_and_wait, [(tmp_path, 0), (tmp_path, 1)])
        threading.Timer(2, made.scheduler.kill).start()
        with pytest.raises(
            LomarError, match=r"the scheduler is gone; .* run the same command again"
        ):
            list(results)


def test_the_last_worker_dies(tmp_path):
    """Without a nanny nobody starts it again."""
    with cluster(tmp_path, 1, "--no-nanny") as made, open_engine(made.address) as engine:
        engine.patience = 1
        threading.Timer(2, made.workers[0].kill).start()
        with pytest.raises(LomarError, match="no worker is left"):
            list(engine.unordered(calls.mark_and_wait, [(tmp_path, 0)]))


def test_nobody_waits_any_more(two_workers, tmp_path):
    """Whoever asked goes away: what is under way hears of it, and stops."""
    with open_engine(two_workers.address) as engine:
        results = engine.unordered(calls.until_unwanted, [(tmp_path,)])
        thread = threading.Thread(target=refused, args=(results,))
        thread.start()
        until((tmp_path / "begun").exists)
    until((tmp_path / "ended").exists)
    thread.join()


def refused(results):
    with pytest.raises(LomarError):
        next(results)


def test_keys_are_nobody_elses(dask, tmp_path):
    """The same call asked for twice is made twice: results do not outlive a run."""
    assert list(dask.ordered(calls.mark, [(tmp_path, 0)] * 3)) == [0] * 3
    assert list(dask.ordered(calls.mark, [(tmp_path, 0)])) == [0]
    assert len((tmp_path / "0").read_text().split()) == 4
