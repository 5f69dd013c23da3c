"""What a method has to say of a whole round is seen whatever format the scores are written in."""

from __future__ import annotations

import json

import pytest

from tests.commands import works
from tests.making import write_round


@pytest.fixture(scope="module")
def round_file(tmp_path_factory):
    return write_round(tmp_path_factory.mktemp("round") / "r.h5", 12)


@pytest.mark.parametrize("ending", ["csv", "h5", "json"])
def test_notes_are_told_beside_a_file(ending, round_file, tmp_path):
    output = tmp_path / f"s.{ending}"
    ran = works("score", round_file, "-o", output)
    said = ran.stderr.splitlines()
    listed = json.loads(works("score", round_file, "--json").stdout)["notes"]
    assert listed
    assert [f"note: {note}" for note in listed] == said[: len(listed)]
    assert "flagged by lomar-auto" in said[-1]
    assert works("score", round_file, "-q", "--force", "-o", output).stderr == ""


def test_notes_do_not_get_into_a_pipe(round_file):
    ran = works("score", round_file, "-o", "-")
    assert ran.stdout.startswith("client,")
    assert ran.stderr == "" and "note: " not in ran.stdout
