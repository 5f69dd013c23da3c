"""Ctrl-C while HDF5 calls back: kept for soon after, and raised once."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import h5py
import pytest

from lomar_cli.files import steady

_CODE = """
import signal
def press():
    signal.raise_signal(signal.SIGINT)
"""


@pytest.fixture
def in_h5py():
    """Press Ctrl-C in a function of which Python says that it is h5py's."""
    names: dict = {}
    exec(compile(_CODE, str(Path(h5py.__file__).parent / "pressed.py"), "exec"), names)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield names["press"]
    signal.signal(signal.SIGINT, before)


def wait(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_it_is_raised_soon_after_h5py_is_left(in_h5py):
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), steady.interrupted_outside():
        in_h5py()
        returned = True
        wait(10)
    assert returned
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("left", [0.0, 0.0002, 0.0005])
def test_it_is_raised_once(left, in_h5py, monkeypatch):
    """Also where the block ends just as the interrupt is tried again."""
    monkeypatch.setattr(steady, "_AGAIN", 0.0005)
    for _ in range(20):
        with pytest.raises(KeyboardInterrupt), steady.interrupted_outside():
            in_h5py()
            wait(left)
        wait(0.001)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_one_does_not_end_the_clean_up(in_h5py):
    cleaned = []

    def write():
        with steady.interrupted_outside():
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.raise_signal(signal.SIGINT)
                cleaned.append(True)

    with pytest.raises(KeyboardInterrupt):
        write()
    assert cleaned == [True]


def test_one_that_nobody_heard_of_does_not_make_it_deaf(monkeypatch, in_h5py):
    monkeypatch.setattr(steady, "_LEAVING", 0.01)
    with pytest.raises(KeyboardInterrupt), steady.interrupted_outside():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        wait(0.02)
        signal.raise_signal(signal.SIGINT)
