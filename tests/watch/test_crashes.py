"""Killed at any moment, interrupted, without disk: no file is lost, doubled or half-written."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.commands import ROOT, command_line, contents, environment
from tests.watch.dying import seen
from tests.watch.kills import arguments, filled, killed, start, undisturbed
from tests.watch.playing import CLIENTS


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What two rounds come to when nobody disturbs them."""
    return undisturbed(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("again", [0, 3])
def test_killed_before_any_change_of_a_file(again, tmp_path):
    """By itself, before its n-th change, for every ninth n; once more on the way with ``again``."""
    line = [sys.executable, "-m", "tests.watch.dying", tmp_path / "x", 3 + again, 9, again]
    done = subprocess.run(
        [str(word) for word in line],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    first, *tries = [json.loads(row) for row in done.stdout.splitlines()]
    assert "verdicts/000002/model.npz" in first["files"]
    assert "incoming/.lomar/aside/000002/files/site-00.pt" in first["files"]
    assert len(tries) > 10
    for one in tries:
        assert one["odd"] == [], one
        assert one["ends"][0] == -signal.SIGKILL
        assert one["ends"][-1] == 0


def test_killed_at_random_moments(whole, tmp_path):
    """Again and again until it is done; ``benchmarks/kill_watch.py`` does it at length."""
    place = filled(tmp_path)
    kills = killed(place, seed=5)
    assert seen(place) == whole
    assert kills.total() > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_it_waits(number, whole, tmp_path):
    """Exit 130 and a line; what was taken up stays, and the watch goes on from there."""
    place = filled(tmp_path)
    held_back = [place.incoming / f"site-{row:02d}.NPZ" for row in range(CLIENTS)]
    kept = tmp_path / "kept"
    kept.mkdir()
    for path in held_back:
        path.rename(kept / path.name)
    running = start(place)
    until = time.monotonic() + 60
    state = place.verdicts / "state.json"
    while time.monotonic() < until:
        if state.exists() and json.loads(state.read_text())["round"] == 2:
            break
        time.sleep(0.02)
    running.send_signal(number)
    said = running.communicate(timeout=60)[1].decode()
    assert running.returncode == 130, said
    assert said.splitlines()[-1].startswith("lomar: error: interrupted; nothing half-written")
    assert not [name for name in contents(tmp_path) if name.endswith(".tmp")]
    for path in held_back:
        (kept / path.name).rename(path)
    kept.rmdir()
    assert start(place).wait(timeout=60) == 0
    assert seen(place) == whole


@pytest.mark.parametrize("kilobytes", [0, 1, 4])
def test_a_full_disk(kilobytes, whole, tmp_path):
    """No file may grow beyond some bytes: one clear line, nothing lost, and it goes on after."""
    place = filled(tmp_path)
    line = f'ulimit -f {kilobytes}; exec "$@"'
    done = subprocess.run(
        ["bash", "-c", line, "-", *command_line(*arguments(place))],
        env=environment(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1, done.stderr
    assert last.startswith("lomar: error: ")
    assert "cannot be written: File too large" in last
    assert "Traceback" not in done.stderr
    there = {path.name for path in place.folder.rglob("*.[nN][pP][zZ]")}
    assert {f"site-{row:02d}.NPZ" for row in range(CLIENTS)} <= there
    assert start(place).wait(timeout=60) == 0
    assert seen(place) == whole


def test_the_second_of_two_processes_ends_with_a_line(tmp_path):
    place = filled(tmp_path)
    for path in place.incoming.glob("*"):
        path.unlink()
    running = start(place)
    until = time.monotonic() + 60
    while not (place.verdicts / "state.json").exists() and time.monotonic() < until:
        time.sleep(0.02)
    second = start(place)
    said = second.communicate(timeout=60)[1].decode().splitlines()
    assert second.returncode == 1
    assert len(said) == 1
    assert "another lomar watch is at work there" in said[0]
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=60)
    # The lock dies with its holder, however that ends.
    assert shutil.rmtree(place.verdicts) is None
    again = start(place)
    while not (place.verdicts / "state.json").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert again.poll() is None
    again.kill()
    again.communicate()
