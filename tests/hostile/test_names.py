"""Names that strangers choose do no harm: on the terminal, in a spreadsheet, in the file system."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from tests.commands import check_refused, contents, lomar, process, works
from tests.making import tensors, write_round

FORMULAS = ["=cmd()", "+1+1", "-2", "@SUM(A1)", "'quoted"]
PATHS = ["../../evil", "/etc/evil", "..", ".", "a/../../b", "C:evil", "~", "-o", "--force", "a\\b"]
SHELL = ["$(touch evil)", "`touch evil`", "a;b", "a|b", "%s%n", "{0}", "[red]a[/red]", "<b>"]
NAMES = [*FORMULAS, *PATHS, *SHELL, "名前", "🙂"]
# What a terminal would obey, or what would look like another line or another name.
REFUSED = ["a\nb", "\x1b[2J", "a\rb", "a\tb", "\u202eb", "\x9b2J", "a\u200bb", "a\x7f", "\u2028"]


@pytest.fixture
def named(tmp_path):
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    return write_round(folder / "round.h5", tensors(len(NAMES)), NAMES)


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_no_cell_is_a_formula(kind, named):
    text = works("score", named, "-o", "-", "--format", kind).stdout
    rows = list(csv.reader(io.StringIO(text), delimiter="," if kind == "csv" else "\t"))
    cells = [row[0] for row in rows[1:]]
    assert len(cells) == len(NAMES)
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    for row in rows[1:]:
        for cell in row:
            # What begins so and stays must be a number.
            if cell[:1] in ("=", "+", "-", "@"):
                float(cell)


def test_names_come_back_as_they_were(named):
    for kind in ("csv", "tsv", "h5", "json"):
        path = named.parent / f"s.{kind}"
        works("score", named, "-o", path)
        works("filter", named, "--scores", path, "-o", named.parent / f"{kind}.h5")
        works("export", path, "-o", named.parent / f"{kind}.json")
        rows = json.loads((named.parent / f"{kind}.json").read_text())["clients"]
        assert [row["client"] for row in rows] == NAMES


@pytest.mark.parametrize("name", [*PATHS, *SHELL])
def test_a_name_leads_out_of_no_folder(name, tmp_path):
    """A file a client: it lies in the folder, or the command says that it cannot."""
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    path = write_round(folder / "round.h5", 2, ["usual", name])
    before = set(contents(tmp_path))
    ran = lomar("export", path, "-o", folder / "clients")
    new = set(contents(tmp_path)) - before
    if ran.exit_code == 0:
        assert all(Path(inside).is_relative_to("deep/er/clients") for inside in new)
        assert len([inside for inside in new if inside.endswith(".npz")]) == 2
    else:
        check_refused(ran, ran.exit_code, "file")
        assert new == set()


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
@pytest.mark.parametrize("command", ["score", "info", "validate"])
def test_names_that_a_terminal_obeys(name, command, tmp_path):
    path = write_round(tmp_path / "r.h5", 3, ["a", "b", name])
    ran = lomar(command, path)
    assert ran.exit_code == 3
    said = ran.stdout + ran.stderr
    assert "client id" in said
    assert len(said.splitlines()) == 1
    assert name not in said.rstrip("\n")


@pytest.mark.parametrize(
    "name", [b"a\x1b[2J.h5", b"a\nb.h5", b"\xff\xfe.h5", "é\u202e.h5".encode()]
)
@pytest.mark.parametrize("command", ["score", "info"])
def test_a_file_name_that_a_terminal_obeys(name, command, tmp_path):
    (tmp_path / os.fsdecode(name)).write_bytes(b"no HDF5")
    check_refused(process(command, tmp_path / os.fsdecode(name)), 3)
    check_refused(process(command, tmp_path / os.fsdecode(b"gone" + name)), 3, "no such file")
