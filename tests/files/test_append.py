"""Clients appended to a round: none lost, none twice, nothing half-written, whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from lomar_cli.errors import InputError
from lomar_cli.files import journal
from lomar_cli.files.append import append_client
from lomar_cli.files.round import open_round
from tests.commands import contents, environment, lomar
from tests.making import read_updates, tensors, write_round

SCRIPT = """
import sys
from pathlib import Path
from lomar_cli.files.append import append_client
from tests.making import tensors
who, count = sys.argv[2], int(sys.argv[3])
made = tensors(count, seed=ord(who))
for row in range(count):
    arrays = {name: array[row] for name, array in made.items()}
    append_client(Path(sys.argv[1]), f"{who}{row}", row, arrays)
"""


def one(made, row):
    return {name: array[row] for name, array in made.items()}


def test_an_appended_round_is_the_round_written_at_once(tmp_path):
    """Another layout, the same content and so the same digest."""
    made = tensors(30)
    names = [f"client {'x' * row}" for row in range(30)]
    whole = write_round(tmp_path / "whole.h5", made, names)
    grown = write_round(tmp_path / "g.h5", {n: a[:2] for n, a in made.items()}, names[:2])
    for row in range(2, 30):
        assert append_client(grown, names[row], 10, one(made, row)) == row + 1
    with open_round(whole) as expected, open_round(grown) as found:
        assert found.sha256 == expected.sha256
        assert [step["stage"] for step in found.provenance] == ["append"]
        assert found.provenance[0]["options"] == {"first": 2}
    differ = json.loads(lomar("diff", whole, grown, "--json").stdout)["differences"]
    assert [entry["about"] for entry in differ] == ["provenance"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.h5", "whole.h5"]


def test_two_processes_lose_none_and_a_reader_sees_whole_states(tmp_path):
    path = write_round(tmp_path / "r.h5", 2)
    count = 100
    running = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, path, who, str(count)], env=environment())
        for who in "ab"
    ]
    seen = []
    while any(process.poll() is None for process in running):
        try:
            with open_round(path) as found:
                seen.append(len(found.head.clients))
        except InputError as error:
            # Allowed where one append follows another without a pause.
            assert "is being written" in str(error)
    assert [process.returncode for process in running] == [0, 0]
    assert seen == sorted(seen)
    with open_round(path) as found:
        clients = list(found.head.clients)
    assert len(clients) == len(set(clients)) == 2 + 2 * count
    assert set(clients) == {"c0", "c1"} | {f"{who}{row}" for who in "ab" for row in range(count)}
    updates = read_updates(path)
    for who in "ab":
        made = tensors(count, seed=ord(who))
        rows = [clients.index(f"{who}{row}") for row in range(count)]
        for name, array in made.items():
            np.testing.assert_array_equal(updates[name][rows], array)


@pytest.mark.parametrize("dies_at", range(1, 7))
def test_dying_at_any_sync_leaves_the_round_before_or_after(dies_at, tmp_path, monkeypatch):
    """Every write to disk ends in a sync: the process dies at the n-th of them."""
    made = tensors(4)
    path = write_round(tmp_path / "r.h5", {n: a[:3] for n, a in made.items()})
    calls = []
    sync = os.fsync

    def dying(handle):
        calls.append(handle)
        if len(calls) == dies_at:
            raise SystemExit
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dying)
        try:
            append_client(path, "late", 10, one(made, 3))
        except SystemExit:
            assert len(calls) == dies_at
    with open_round(path) as found:
        assert len(found.head.clients) in (3, 4)
        there = "late" in found.head.clients
    if not there:
        append_client(path, "late", 10, one(made, 3))
    whole = write_round(tmp_path / "w.h5", made, ["c0", "c1", "c2", "late"])
    with open_round(whole) as expected, open_round(path) as found:
        assert found.sha256 == expected.sha256
    assert not journal.journal_path(path).exists()


@pytest.mark.parametrize("pages", range(6))
def test_dying_between_two_pages(pages, tmp_path, monkeypatch):
    """The journal is complete, the file half changed: the next reader finishes it."""
    made = tensors(4)
    path = write_round(tmp_path / "r.h5", {n: a[:3] for n, a in made.items()})
    write = journal._write
    done = []

    def dying(handle, raw, offset):
        if journal.journal_path(path).exists():
            done.append(offset)
            if len(done) > pages:
                write(handle, raw[:100], offset)
                raise SystemExit
        write(handle, raw, offset)

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_write", dying)
        try:
            append_client(path, "late", 10, one(made, 3))
        except SystemExit:
            assert journal.journal_path(path).exists()
    with open_round(path) as found:
        assert list(found.head.clients)[-1] == "late"
    np.testing.assert_array_equal(read_updates(path)["fc.weight"], made["fc.weight"])


def test_a_journal_of_another_file_changes_nothing(tmp_path):
    made = tensors(4)
    path = write_round(tmp_path / "r.h5", {n: a[:3] for n, a in made.items()})
    overlay = journal.Overlay(path)
    overlay.seek(0)
    overlay.write(memoryview(b"x" * 8000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "recover", lambda path: None)
        journal.commit(path, overlay)
    overlay.close()
    other = write_round(path, tensors(5, seed=9))
    before = other.read_bytes()
    with open_round(other) as found:
        assert len(found.head.clients) == 5
    assert other.read_bytes() == before
    assert not journal.journal_path(path).exists()


ODD = {
    "there already": ("c1", 1, {}),
    "no name": ("a\nb", 1, {}),
    "a negative count": ("x", -1, {}),
    "a huge count": ("x", 2**63, {}),
    "another shape": ("x", 1, {"fc.bias": np.ones(4, "f4")}),
    "another type": ("x", 1, {"fc.bias": np.ones(3)}),
    "another parameter": ("x", 1, {"more": np.ones(3, "f4")}),
}


@pytest.mark.parametrize("what", ODD)
def test_what_does_not_fit_is_refused(what, round_file, tmp_path):
    client, count, change = ODD[what]
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"round\.h5"):
        append_client(round_file, client, count, {**one(tensors(1), 0), **change})
    assert contents(tmp_path) == before
