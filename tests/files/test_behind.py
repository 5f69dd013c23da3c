"""Syncing a file while it is written."""

from __future__ import annotations

import errno
import os

import pytest

from lomar_cli.files import behind, steady


@pytest.fixture(autouse=True)
def step(monkeypatch):
    monkeypatch.setattr(behind, "_STEP", 1000)


def test_a_file_is_synced_whenever_so_much_was_written(monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", seen.append)
    one = behind.WriteBehind(7)
    for count, synced in ((999, 0), (1, 1), (600, 1), (600, 2)):
        one.wrote(count)
        one.end()
        assert seen == [7] * synced


def test_a_sync_that_fails_is_left_to_the_last_one(tmp_path, monkeypatch):
    tried = []

    def failing(handle):
        tried.append(handle)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    (tmp_path / "f").touch()
    stream = steady.SteadyFile(tmp_path / "f")
    for _ in range(10):
        stream.write(memoryview(bytes(600)))
    stream.close()
    assert tried
    assert stream.error is None
    assert (tmp_path / "f").stat().st_size == 6000
