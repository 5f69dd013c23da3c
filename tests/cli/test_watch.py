"""The options of ``lomar watch``: what they come to, and what is refused."""

from __future__ import annotations

import json

import pytest

from lomar_cli.cli.options import parse_duration
from lomar_cli.errors import UsageError
from tests.commands import lomar, refused, works
from tests.watch.playing import CLIENTS, Place, trained


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("1.5s", 1.5), ("10m", 600), ("2H", 7200), ("1d", 86400), ("0", 0)],
)
def test_durations(text, seconds):
    assert parse_duration(text, "--timeout") == seconds


@pytest.mark.parametrize("text", ["", "m", "-1", "ten", "1w", "nan", "inf", "10 m s", "1e12"])
def test_what_is_no_duration(text):
    with pytest.raises(UsageError, match="--timeout"):
        parse_duration(text, "--timeout")


def test_options_reach_the_method_and_the_rule(tmp_path):
    place = Place(tmp_path)
    place.send_all(trained(1))
    model = ("--base-model", place.base, "--expect", CLIENTS, "--rounds", 1, "--settle", 0)
    method = ("--method", "lof", "--set", "neighbors=5", "--seed", 3)
    rule = ("--rule", "trimmed-mean", "--set", "rule.assume_malicious=2", "--weights", "uniform")
    ran = works("watch", place.incoming, *model, *method, *rule, "-o", place.verdicts)
    assert ran.stdout == ""
    assert "round 1: full, 12 clients" in ran.stderr
    steps = json.loads(works("info", place.verdicts / "000001" / "scores.h5", "--json").stdout)[
        "provenance"
    ]
    assert steps[-1]["options"]["neighbors"] == "5"
    assert steps[-1]["seed"] == 3
    quiet = works("watch", place.incoming, *model, "-o", place.verdicts, "-q")
    assert quiet.stderr == ""


REFUSED = {
    "no model": (["--expect", "3"], "--differences"),
    "a time": (["--expect", "3", "--differences", "--timeout", "soon"], "--timeout soon"),
    "a size": (["--expect", "3", "--differences", "--max-bytes", "much"], "--max-bytes much"),
    "a command": (["--expect", "3", "--differences", "--exec", "'open"], "--exec"),
    "no command": (["--expect", "3", "--differences", "--exec", " "], "--exec"),
    "a rule's option": (["--expect", "3", "--differences", "--set", "rule.x=1"], "--set x"),
    "no poll": (["--expect", "3", "--differences", "--poll", "0"], "--poll 0"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_a_line(what, tmp_path):
    given, mention = REFUSED[what]
    place = Place(tmp_path)
    refused(tmp_path, 2, [mention], "watch", place.incoming, "-o", place.verdicts, *given)


def test_a_base_model_that_is_none(tmp_path):
    place = Place(tmp_path)
    place.base.write_bytes(b"nothing of use")
    model = ("--base-model", place.base, "--expect", 3)
    ran = lomar("watch", place.incoming, *model, "-o", place.verdicts)
    assert ran.exit_code == 3
    assert "base.npz" in ran.stderr
    place.base.unlink()
    ran = lomar("watch", place.incoming, *model, "-o", place.verdicts)
    assert ran.exit_code == 3
    assert "no such file" in ran.stderr
