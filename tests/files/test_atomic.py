"""An output is complete or absent, whatever happens; temporary files of the dead are cleared."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys

import h5py
import numpy as np
import pytest

from lomar_cli.errors import LomarError, OutputExistsError, UsageError
from lomar_cli.files.atomic import atomic_bytes, atomic_path, check_output
from lomar_cli.files.h5 import create
from lomar_cli.files.round import RoundHead, create_round
from lomar_cli.files.updates import OutputLayer
from tests.commands import environment


def hidden(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_failure_leaves_what_was_there(error, old, tmp_path):
    path = tmp_path / "out"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(error), atomic_path(path, force=True) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert (path.read_bytes() if path.exists() else None) == old
    assert hidden(tmp_path) == []


def test_an_interrupt_while_the_temporary_file_is_made(monkeypatch, tmp_path):
    """A signal that comes during the call is raised when the file is there and nobody has it."""
    made = []

    def interrupted(path, *rest, opened=os.open):
        handle = opened(path, *rest)
        if not str(path).endswith(".tmp"):
            return handle
        os.close(handle)
        made.append(path)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "open", interrupted)
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "out"):
        pass
    assert len(made) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_a_half_written_hdf5_is_never_seen(error, tmp_path):
    path = tmp_path / "out.h5"
    path.write_bytes(b"old")
    with (
        pytest.raises((error, LomarError)),
        create(path, "round", [], force=True) as handle,
    ):
        handle["x"] = np.ones(1000)
        handle.flush()
        assert path.read_bytes() == b"old"
        raise error
    assert path.read_bytes() == b"old"
    assert hidden(tmp_path) == []


def test_a_round_with_a_client_missing_is_not_written(tmp_path):
    head = RoundHead(
        clients=["a", "b"],
        num_examples=np.array([1, 1]),
        shapes={"w": (2, 2)},
        dtypes={"w": np.dtype("f4")},
        output=OutputLayer("w"),
        labels=[],
        round_number=1,
        base_sha256="",
    )
    with pytest.raises(RuntimeError), create_round(tmp_path / "r.h5", head, []) as writer:
        writer.write(0, {"w": np.ones((1, 2, 2), "f4")})
    assert list(tmp_path.iterdir()) == []


def test_the_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "out"
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"new")
        assert not path.exists()
        assert temporary.parent == tmp_path
    assert path.read_bytes() == b"new"
    assert hidden(tmp_path) == []


def test_a_new_file_has_the_rights_that_the_person_asked_for(tmp_path):
    before = os.umask(0o027)
    try:
        atomic_bytes(tmp_path / "out", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_what_appears_meanwhile_is_not_overwritten(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(OutputExistsError), atomic_path(path) as temporary:
        temporary.write_bytes(b"new")
        path.write_bytes(b"somebody else's")
    assert path.read_bytes() == b"somebody else's"
    assert hidden(tmp_path) == []


def test_a_killed_run_is_cleared_by_the_next(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    script = (
        "import os, pathlib, sys\n"
        "from lomar_cli.files.atomic import atomic_path\n"
        "with atomic_path(pathlib.Path(sys.argv[1]), force=True) as temporary:\n"
        "    temporary.write_bytes(b'half')\n"
        f"    os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], env=environment(), check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(hidden(tmp_path)) == 1
    assert path.read_bytes() == b"old"
    atomic_bytes(path, b"new", force=True)
    assert path.read_bytes() == b"new"
    assert hidden(tmp_path) == []


def test_what_a_live_process_writes_is_left_alone(tmp_path):
    path = tmp_path / "out"
    script = (
        "import pathlib, sys\n"
        "from lomar_cli.files.atomic import atomic_path\n"
        "with atomic_path(pathlib.Path(sys.argv[1]), force=True) as temporary:\n"
        "    temporary.write_bytes(b'from the other process')\n"
        "    print('begun', flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment(), **pipes) as other:
        assert other.stdout.readline() == "begun\n"
        (theirs,) = hidden(tmp_path)
        atomic_bytes(path, b"mine")
        assert path.read_bytes() == b"mine"
        assert hidden(tmp_path) == [theirs]
        other.communicate("go on\n", timeout=20)
    assert other.returncode == 0
    assert path.read_bytes() == b"from the other process"
    assert hidden(tmp_path) == []


def test_only_temporary_files_of_this_output_are_cleared(tmp_path):
    spared = [".other.1.tmp", ".out.tmp", ".out.notes.tmp", ".out.1.tmp.txt", "out.1.tmp"]
    for name in [*spared, ".out.999999.tmp"]:
        (tmp_path / name).write_text("x")
    atomic_bytes(tmp_path / "out", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*spared, "out"])


def test_a_name_that_looks_like_a_pattern_clears_only_its_own(tmp_path):
    (tmp_path / ".abc.1.tmp").write_text("x")
    (tmp_path / ".[abc]*.1.tmp").write_text("x")
    atomic_bytes(tmp_path / "[abc]*", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".abc.1.tmp", "[abc]*"]


def test_a_lock_outlives_hdf5_opening_the_file(tmp_path):
    """HDF5 opens, truncates and closes the temporary file: the lock must survive all three."""
    path = tmp_path / "out.h5"
    with atomic_path(path) as temporary:
        with h5py.File(temporary, "w", locking=False) as handle:
            handle["x"] = np.ones(3)
        other = os.open(temporary, os.O_RDWR)
        with pytest.raises(OSError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
    assert path.exists()


def test_an_output_through_a_dangling_link_is_not_silently_replaced(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "data")
    with pytest.raises((OutputExistsError, UsageError)):
        atomic_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("force", [True, False])
def test_outputs_that_cannot_be(force, tmp_path):
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "missing" / "out", tmp_path / "file" / "out"):
        with pytest.raises(UsageError):
            check_output(path, force)
    with pytest.raises((UsageError, OutputExistsError)):
        check_output(tmp_path / "pipe", force)
