"""What follows a verdict: metrics once, the hook at least once; and what a restart keeps."""

from __future__ import annotations

import json

import pytest

from lomar_cli.errors import InputError, UsageError
from lomar_cli.watching import loop
from lomar_cli.watching.after import add_line
from tests.watch.playing import CLIENTS, Place, Play, npz, trained


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


class Died(BaseException):
    """As a kill: nothing catches it."""


def die(*given, **more):
    raise Died


def test_a_closed_round_stays_closed(place, monkeypatch):
    """What comes while the watcher is dead belongs to the next round, and so do their names."""
    sent = trained(1)
    early = dict(list(sent.items())[:9])
    late = {**trained(2), "site-00": sent["site-11"]}
    place.send_all(early)
    with monkeypatch.context() as patch, pytest.raises(Died):
        patch.setattr(loop, "judge", die)
        Play(place).watch(timeout=60.0)
    place.send_all(late)
    Play(place).watch(rounds=2, keep="all", timeout=60.0)
    taken = place.incoming / ".lomar" / "taken"
    for number, clients in ((1, early), (2, late)):
        found = {p.stem: p.read_bytes() for p in (taken / f"{number:06d}").iterdir()}
        assert found == {name: npz(arrays) for name, arrays in clients.items()}
    verdict = json.loads((place.verdicts / "000001" / "verdict.json").read_text())
    assert verdict["clients"] == 9


def test_after_a_restart_the_time_begins_anew(place):
    place.send_all(dict(list(trained(1).items())[:9]))
    with pytest.raises(Died):
        Play(place, {500: die}).watch(timeout=600.0)
    again = Play(place)
    again.watch(timeout=600.0)
    assert again.now == pytest.approx(600, abs=2)
    assert place.aside() == {}


def test_the_metrics_are_told_once_and_the_hook_again(place, monkeypatch):
    calls = place.folder / "calls"
    hook = place.folder / "hook.sh"
    hook.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    hook.chmod(0o755)
    place.send_all(trained(1))
    command = (str(hook), "--verdict={}", "and more")
    with monkeypatch.context() as patch, pytest.raises(Died):
        patch.setattr(loop, "clear", die)
        Play(place).watch(hook=command)
    Play(place).watch(hook=command)
    path = place.verdicts / "000001" / "verdict.json"
    assert calls.read_text().splitlines() == [f"--verdict={path} and more"] * 2
    assert len((place.verdicts / "metrics.jsonl").read_text().splitlines()) == 1


def test_the_verdict_comes_last_and_no_shell_looks_at_the_hook(place):
    calls = place.folder / "calls"
    hook = place.folder / "hook.sh"
    hook.write_text(f'#!/bin/sh\nfor one; do echo "$one"; done > {calls}\n')
    hook.chmod(0o755)
    place.send_all(trained(1))
    Play(place).watch(hook=(str(hook), "$HOME; exit"))
    path = place.verdicts / "000001" / "verdict.json"
    assert calls.read_text().splitlines() == ["$HOME; exit", str(path)]


def test_a_hook_that_fails_does_not_end_the_watch(place):
    place.send_all(trained(1))
    play = Play(place, {5: lambda: place.send_all(trained(2))})
    assert play.watch(rounds=2, hook=("false",)) == 2
    assert [line for line in play.warned if "exit 1; the watch goes on" in line] == play.warned
    assert len(play.warned) == 2


def test_a_line_that_was_cut_short_is_taken_away(tmp_path):
    path = tmp_path / "metrics.jsonl"
    add_line(path, {"round": 1, "clients": 3})
    whole = path.read_bytes()
    for cut in range(1, len(whole)):
        path.write_bytes(whole + whole[:cut].replace(b"1", b"2"))
        add_line(path, {"round": 2})
        add_line(path, {"round": 2})
        assert path.read_bytes() == whole + b'{"round": 2}\n'
    path.unlink()  # turned over
    add_line(path, {"round": 3})
    assert path.read_bytes() == b'{"round": 3}\n'


def test_metrics_elsewhere(place):
    place.send_all(trained(1))
    Play(place).watch(metrics=place.folder / "lines")
    assert json.loads((place.folder / "lines").read_text())["clients"] == CLIENTS
    assert not (place.verdicts / "metrics.jsonl").exists()
    with pytest.raises(UsageError, match="--metrics"):
        Play(place).watch(metrics=place.folder / "none" / "lines")


def test_prometheus(place):
    """Read back by the parser of prometheus-client itself."""
    pytest.importorskip("prometheus_client", reason="needs the extra 'metrics'")
    from prometheus_client.parser import text_string_to_metric_families

    sent = trained(1)
    sent["site-03"]["fc.weight"] = sent["site-03"]["fc.weight"] * 40
    place.send("bad.npz", b"nothing of use")
    place.send_all(sent)
    path = place.folder / "lomar.prom"
    Play(place).watch(prometheus=path)
    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            found[(sample.name, *sample.labels.values())] = sample.value
    line = json.loads((place.verdicts / "metrics.jsonl").read_text())
    for name, key in (
        ("clients", "clients"),
        ("expected_clients", "expected"),
        ("flagged_clients", "flagged"),
        ("set_aside_files", "set_aside"),
    ):
        assert found[(f"lomar_watch_{name}",)] == line[key] > 0
    assert found[("lomar_watch_rounds_total",)] == 1
    assert found[("lomar_watch_failed",)] == 0
    for phase in ("waiting", "reading", "scoring", "aggregating"):
        assert found[("lomar_watch_seconds", phase)] == line["seconds"][phase]
    assert not [name for name, *_ in found if "created" in name]
    with pytest.raises(UsageError, match=r"\.prom"):
        Play(place).watch(prometheus=place.folder / "lomar.txt")


def test_prometheus_without_the_extra(place, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(UsageError, match=r"\[metrics\]"):
        Play(place).watch(prometheus=place.folder / "lomar.prom")


def test_a_model_that_is_being_written_is_not_taken(place):
    """A server that averages by itself: the round waits in its files for the next start."""
    whole = place.base.read_bytes()
    place.send_all(trained(1))
    script = {5: lambda: place.base.write_bytes(whole[:300]), 9: lambda: place.send_all(trained(2))}
    with pytest.raises(InputError, match=r"--base-model .*base\.npz: .*damaged"):
        Play(place, script).watch(rounds=2, judging={"aggregate": False})
    place.base.write_bytes(whole)
    assert Play(place).watch(rounds=2, judging={"aggregate": False}) == 2
    verdict = json.loads((place.verdicts / "000002" / "verdict.json").read_text())
    assert verdict["clients"] == CLIENTS


def test_lines_of_two_watches_in_one_file_are_all_kept(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for seconds in (1, 2, 2):
        add_line(path, {"round": 1, "seconds": seconds})
    assert [json.loads(line)["seconds"] for line in path.read_text().splitlines()] == [1, 2]
