"""What goes where, as real processes see it: pipes, exit codes, colour, and being interrupted."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.commands import Ran, command_line, environment, lomar, process, works
from tests.making import tensors, write_client, write_json, write_round, write_verdict

ESCAPE = "\x1b"
COLOUR = re.compile(r"\x1b\[[0-9;]*\b(3[0-8]|4[0-8]|9[0-7]|10[0-7])[0-9;]*m")


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """A round whose table is larger than a pipe holds."""
    return write_round(tmp_path_factory.mktemp("big") / "round.h5", tensors(700, labels=10))


@pytest.fixture
def files(tmp_path):
    """A small file of every kind that needs no training."""
    found = {"folder": tmp_path, "round": write_round(tmp_path / "round.h5")}
    found["scores"] = write_verdict(tmp_path / "v.csv", found["round"], ["c1"])
    found["truth"] = write_json(tmp_path / "t.json", {"malicious": ["c1"]})
    one = {name: array[0] for name, array in tensors(1).items()}
    found["client"] = write_client(tmp_path / "client.npz", one)
    return found


def shell(line, **variables):
    """A line of sh in which $LOMAR is the command; returns (exit code, stdout, stderr)."""
    lomar = " ".join(f"'{word}'" for word in command_line())
    done = subprocess.run(
        ["sh", "-c", line],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(**{k: str(v) for k, v in variables.items()}, LOMAR=lomar),
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("options", ["score -o - --format csv", "score --json"])
def test_a_reader_that_stops_early_is_no_error(options, big):
    command, rest = options.split(" ", 1)
    line = f'{{ eval "$LOMAR {command} $ROUND {rest}"; echo "exit $?" >&2; }} | head -1'
    code, out, err = shell(line, ROUND=big)
    assert code == 0
    assert len(out.splitlines()) == 1
    # 0 if the system took everything before it saw that nobody reads on.
    assert err in ("exit 141\n", "exit 0\n")


@pytest.mark.parametrize("options", ["score $ROUND", "list", "score --help"])
def test_a_closed_pipe_is_silent_for_what_people_read(options, big):
    line = f'{{ sleep 0.2; eval "$LOMAR {options}"; echo "exit $?" >&2; }} | true'
    _, _, err = shell(line, ROUND=big)
    assert err == "exit 141\n"


def test_a_full_disk_is_one_line(big):
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("this system has no /dev/full")
    code, _, err = shell('eval "$LOMAR score $ROUND --json" > /dev/full', ROUND=big)
    assert code == 1
    assert len(err.splitlines()) == 1
    assert err.startswith("lomar: error: ")


def test_fail_on_flagged_tells_by_the_exit_code(tmp_path):
    made = tensors(6)
    honest = write_round(tmp_path / "honest.h5", made)
    made["fc.weight"][2] = np.nan
    bad = write_round(tmp_path / "bad.h5", made)
    quiet = ("--method", "none", "--fail-on-flagged", "-q")
    assert process("score", honest, *quiet).exit_code == 0
    assert lomar("score", bad, "--method", "none").exit_code == 0
    assert process("score", bad, *quiet, "-o", tmp_path / "s.json").exit_code == 10
    assert len(json.loads((tmp_path / "s.json").read_text())["clients"]) == 6


def test_json_can_be_piped(files):
    read = "import json, sys; print(len(json.load(sys.stdin)['clients']))"
    line = f'eval "$LOMAR score $ROUND --json" | "{sys.executable}" -c "{read}"'
    assert shell(line, ROUND=files["round"]) == (0, "8\n", "")


JSON = {
    "score": lambda f: ("score", f["round"]),
    "evaluate": lambda f: ("evaluate", "--scores", f["scores"], "--truth", f["truth"]),
    "info": lambda f: ("info", f["round"]),
    "validate": lambda f: ("validate", f["round"], f["scores"]),
    "list": lambda f: ("list",),
}


@pytest.mark.parametrize("name", JSON)
def test_json_is_one_document_on_stdout_and_nothing_else(name, files):
    ran = lomar(*JSON[name](files), "--json")
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["schema_version"] == 1


@pytest.mark.parametrize("name", JSON)
def test_data_without_a_file_goes_to_stdout(name, files):
    ran = lomar(*JSON[name](files))
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert ran.stdout


WRITE = {
    "partition": lambda f: ("partition", "digits", "--clients", "3", "--samples-per-client", "9"),
    "dump": lambda f: ("dump", f["client"], "--differences"),
    "score": lambda f: ("score", f["round"], "--format", "csv"),
    "filter": lambda f: ("filter", f["round"], "--scores", f["scores"]),
    "aggregate": lambda f: ("aggregate", f["round"], "--from-zero"),
    "evaluate": lambda f: ("evaluate", "--scores", f["scores"], "--truth", f["truth"]),
    "export": lambda f: ("export", f["round"], "--format", "npz"),
}


@pytest.mark.parametrize("name", WRITE)
def test_summaries_go_to_stderr_and_quiet_silences_them(name, files):
    words = (*WRITE[name](files), "-o", files["folder"] / "out")
    ran = lomar(*words)
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert str(files["folder"] / "out") in ran.stderr
    ran = lomar(*words, "-f", "-q")
    assert (ran.exit_code, ran.stdout, ran.stderr) == (0, "", "")


def test_a_process_keeps_its_streams_apart(files):
    words = (*WRITE["score"](files), "-o", files["folder"] / "out")
    ran = process(*words)
    notes = json.loads(works("score", files["round"], "--json").stdout)["notes"]
    said = ran.stderr.splitlines()
    assert (ran.exit_code, ran.stdout, len(said)) == (0, "", len(notes) + 1)
    assert said[:-1] == [f"note: {note}" for note in notes]
    assert process(*words, "-f", "-q") == Ran(0, "", "")


def test_a_score_table_is_read_from_a_stream(files):
    line = 'eval "$LOMAR evaluate --scores - --truth $TRUTH --json" < "$SCORES"'
    code, out, err = shell(line, TRUTH=files["truth"], SCORES=files["scores"])
    assert (code, err) == (0, "")
    assert json.loads(out)["detection"]["auc"] == 1.0


def on_a_terminal(*args, **changes):
    """What a person sees: stdout and stderr of a command whose output is a terminal."""
    parent, child = pty.openpty()
    variables = {"TERM": "xterm-256color", "COLUMNS": "100", **changes}
    done = subprocess.Popen(
        command_line(*args), stdout=child, stderr=child, env=environment(**variables)
    )
    os.close(child)
    seen = b""
    try:
        while block := os.read(parent, 65536):
            seen += block
    except OSError:  # Linux says so when the other end is closed.
        pass
    finally:
        os.close(parent)
    assert done.wait(timeout=60) == 0
    return seen.decode()


@pytest.mark.parametrize("words", [("score",), ("score", "--help")])
def test_no_color_is_honoured_on_a_terminal(words, files):
    full = (*words, *([] if "--help" in words else [files["round"]]))
    assert COLOUR.search(on_a_terminal(*full, NO_COLOR="1")) is None


def test_a_terminal_has_colour_otherwise(files):
    assert COLOUR.search(on_a_terminal("score", files["round"])) is not None


@pytest.mark.parametrize("words", [("score",), ("score", "--help")])
def test_a_pipe_gets_no_escape_codes(words, files):
    full = (*words, *([] if "--help" in words else [files["round"]]))
    ran = process(*full)
    assert ESCAPE not in ran.stdout + ran.stderr


def test_debug_shows_the_traceback_of_an_error(tmp_path):
    ran = process("score", tmp_path / "gone.h5", "--debug")
    assert "Traceback" in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("lomar: error: ")
    assert ran.exit_code == 3


def test_an_interrupted_training_leaves_nothing(tmp_path):
    size = ("--clients", 1000, "--samples-per-client", 100)
    works("partition", "digits", *size, "-o", tmp_path / "s.h5")
    before = sorted(tmp_path.iterdir())
    # Work for half a minute, in groups of half a second.
    start = [sys.executable, "-m", "lomar_cli"]
    words = ("train", tmp_path / "s.h5", "--epochs", 1000, "--jobs", 1, "-o", tmp_path / "r.h5")
    running = subprocess.Popen(
        [*start, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    try:
        until = time.monotonic() + 40
        while not list(tmp_path.glob(".r.h5.*.tmp")):
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < until, "the training never began to write"
            time.sleep(0.05)
        time.sleep(1)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 130
    assert out == b""
    assert err.decode().startswith("lomar: error: interrupted")
    assert len(err.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before
