"""Killed, interrupted, without disk or file handles: complete or absent, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import Ran, check_refused, command_line, contents, environment
from tests.hostile.kills import COMMANDS, kill, prepare, words
from tests.hostile.kills_run import kill_run

# Commands that put several files of their own into a folder, one after the other.
PIECE_BY_PIECE = ("drill", "report", "demo")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("kills") / "inputs")


@pytest.mark.parametrize("name", ["partition", "attack on a round", "dump", "score", "export"])
def test_killed_at_random_moments(name, inputs, tmp_path):
    seen = kill(COMMANDS[name], inputs, tmp_path / "work", 2, seed=0)
    assert seen.faults == []


def test_a_sweep_killed_at_random_moments(inputs, tmp_path):
    assert kill_run(inputs, tmp_path / "work", 2, seed=0).faults == []


@pytest.mark.parametrize("name", ["score", "dump"])
def test_interrupted_at_random_moments(name, inputs, tmp_path):
    seen = kill(COMMANDS[name], inputs, tmp_path / "work", 3, seed=1, by=signal.SIGINT)
    assert (seen.faults, seen.left) == ([], 0)


def test_interrupted_anywhere_in_writing(tmp_path):
    """HDF5 calls Python back, and would lose a KeyboardInterrupt there, or crash at the end."""
    root = Path(__file__).resolve().parents[2]
    line = [sys.executable, "-m", "tests.hostile.interrupted", str(tmp_path), "60"]
    done = subprocess.run(line, cwd=root, env=environment(), capture_output=True, check=True)
    seen = json.loads(done.stdout)
    assert seen.pop("exit 130, said '', left []") > 50
    # After the round took its place, or at the very end.
    assert set(seen) <= {f"exit {code}, said '', left ['out.h5']" for code in (0, 130)}


def limited(limit, folder, arguments, before=()):
    """A command with a limit of the shell's, started by ``before``."""
    line = f'{limit}; exec "$@"'
    done = subprocess.run(
        [*before, "bash", "-c", line, "-", *command_line(*arguments)],
        cwd=folder,
        env=environment(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk(name, inputs, tmp_path):
    """No file may grow beyond some bytes: as on a full disk, writing fails midway."""
    work = shutil.copytree(inputs, tmp_path / "work")
    (work / "out.h5").write_bytes(b"old")
    before = contents(work)
    limit = 0 if name == "evaluate" else 1
    ran = limited(f"ulimit -f {limit}", work, words(COMMANDS[name], "out", "-f"))
    check_refused(ran, 1, "out")
    after = contents(work)
    if name in PIECE_BY_PIECE:
        # Each file of its folder is complete or absent.
        after = {path: raw for path, raw in after.items() if Path(path).parts[0] != "out"}
        assert not list(work.glob("out/.*"))
    assert after == before


def test_a_full_disk_and_a_torch_file(inputs, tmp_path):
    """torch tells of it in words of its own."""
    pytest.importorskip("torch", reason="torch files need the extra 'train'")
    work = shutil.copytree(inputs, tmp_path / "work")
    before = contents(work)
    ran = limited("ulimit -f 1", work, ["export", "round.h5", "-o", "out.pt"])
    check_refused(ran, 1, "out.pt: cannot be written: File too large")
    assert contents(work) == before


def test_interrupted_before_the_command_has_begun(tmp_path):
    """While modules are read, and after all is said: no traceback, and the code of either."""
    script = (
        "import signal, sys\n"
        "class Press:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Press())\n"
        "from lomar_cli.__main__ import main\n"
        "main()\n"
    )
    line = [sys.executable, "-c", script, "list", "methods"]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "lomar: error: interrupted; nothing half-written was left\n"


HANDLES = [("score", 4), *((name, handles) for name in COMMANDS for handles in (6, 12))]


@pytest.mark.parametrize(("name", "handles"), HANDLES)
def test_hardly_any_file_handles(name, handles, inputs, tmp_path):
    work = shutil.copytree(inputs, tmp_path / "work")
    before = contents(work)
    ran = limited(f"ulimit -n {handles}", work, words(COMMANDS[name], "out"))
    after = contents(work)
    assert before == {path: after.get(path) for path in before}
    new = set(after) - set(before)
    if ran.exit_code:
        assert ran.stderr.splitlines()
        if name in PIECE_BY_PIECE:
            new = {path for path in new if Path(path).name.startswith(".")}
        assert not new
    else:
        assert new
        assert not [path for path in new if Path(path).name.startswith(".")]


def without_privileges():
    """What starts a command that may write only where the permissions say so, root's too."""
    if os.geteuid():
        return []
    rights = "-dac_override,-dac_read_search"
    before = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]
    if shutil.which("setpriv") is None or subprocess.run([*before, "true"], check=False).returncode:
        pytest.skip("root may write anywhere")
    return before


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_that_may_not_be_written(name, inputs, tmp_path):
    before_it = without_privileges()
    work = shutil.copytree(inputs, tmp_path / "work")
    before = contents(work)
    work.chmod(0o555)
    try:
        ran = limited("true", work, words(COMMANDS[name], "out"), before_it)
    finally:
        work.chmod(0o755)
    check_refused(ran, 1, "out")
    assert contents(work) == before
