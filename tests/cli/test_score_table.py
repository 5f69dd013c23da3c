"""What ``score`` shows a person: both sides of the threshold, whole names, the counts."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from lomar_cli.cli.score_table import Gap, lines, show
from lomar_cli.files.scores import Scores
from tests.commands import works
from tests.making import write_round


def shown(suspicion, threshold):
    suspicion = np.asarray(suspicion, float)
    return lines(suspicion, suspicion <= threshold)


def test_few_are_shown_with_the_threshold_between():
    assert shown([0.1, 5, 0.3, 2], 1) == [1, 3, Gap(), 2, 0]


def test_of_many_removed_the_far_and_the_near_ones_are_shown():
    found = shown([*range(100, 60, -1), *range(-1, -31, -1)], 0)
    assert found[:12] == list(range(12))
    assert found[12] == Gap(25)
    assert found[13:16] == [37, 38, 39]
    assert found[16:] == [Gap(), 40, 41, 42, 43, 44, Gap(25, True)]


def test_where_nobody_is_removed_more_are_shown():
    assert shown(np.zeros(12), 0) == [Gap(), *range(10), Gap(2, True)]


def test_where_everybody_is_removed_the_threshold_ends_it():
    assert shown([3, 2], 1) == [0, 1, Gap()]


@pytest.mark.parametrize("seed", range(30))
def test_everybody_is_counted_once(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 60))
    suspicion = rng.normal(size=count).round(1)
    keep = suspicion <= rng.normal() if seed % 2 else rng.random(count) < 0.5
    found = lines(suspicion, keep)
    rows = [line for line in found if not isinstance(line, Gap)]
    assert len(set(rows)) == len(rows)
    gaps = [line for line in found if isinstance(line, Gap) and line.count]
    assert len(rows) + sum(gap.count for gap in gaps) == count
    assert all(a >= b for a, b in zip(suspicion[rows], suspicion[rows][1:], strict=False))


def test_no_threshold_where_verdicts_are_not_in_its_order():
    found = lines(np.array([3.0, 2, 1]), np.array([True, False, True]))
    assert found == [0, 1, 2]


def drawn(scores, width=80, terminal=False, path="r.h5", way=()):
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=terminal, color_system=None)
    show(scores, console, path, way)
    return stream.getvalue()


def scores(clients, suspicion, **more):
    values = {
        "client": clients,
        "num_examples": [1] * len(clients),
        "suspicion": suspicion,
        "keep": [value <= 1 for value in suspicion],
        **more,
        "reason": ["because"] * len(clients),
    }
    return Scores("lof", 1.0, "ab" * 32, values, notes=["a note of some length " * 6])


def test_long_names_are_broken_not_cut_and_notes_between_words():
    name = "hospital-" * 7 + "end"
    text = drawn(scores([name, "b"], [2.0, 0.0]), terminal=True)
    assert all(len(line) <= 80 for line in text.splitlines() if "explain" not in line)
    column = "".join(line.split()[0] for line in text.splitlines()[1:3])
    assert column == name
    assert "length" in text and "leng\n" not in text
    assert f"look closer: lomar explain r.h5 {name}" in text


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ([], []),
        (["-m", "krum"], ["--method", "krum"]),
        (["--client-groups", "g.csv"], ["--client-groups", "g.csv"]),
        (
            ["-m", "krum", "--client-groups", "g.csv"],
            ["--method", "krum", "--client-groups", "g.csv"],
        ),
        (["-o", "s.csv", "--false-alarm", "0.05"], ["--scores", "s.csv"]),
        # What is more than a hint is none.
        (["--false-alarm", "0.05"], None),
        (["--layers", "fc.*"], None),
        (["-m", "fltrust", "--root", "own.h5"], None),
    ],
)
def test_the_next_step_judges_as_this_one(given, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_round(tmp_path / "r.h5", 24)
    write_round(tmp_path / "own.h5", 1)
    kinds = "".join(f"c{i},{'a' if i < 12 else 'b'}\n" for i in range(24))
    (tmp_path / "g.csv").write_text(f"client,group\n{kinds}")
    seen = []
    monkeypatch.setattr(
        "lomar_cli.cli.score_table.show", lambda *said: seen.append(said[3] if said[3:] else [])
    )
    for stream in ("out", "err"):
        console = Console(file=io.StringIO(), force_terminal=True)
        monkeypatch.setattr(f"lomar_cli.cli.score.{stream}", lambda made=console: made)
    works("score", path.name, *given)
    assert seen == [hint]
    if hint is not None:
        # What it says is a command that works and says the same.
        told = json.loads(works("explain", path.name, "c3", *hint, "--json").stdout)
        pairs = zip(given[::2], given[1::2], strict=True)
        ways = [word for pair in pairs if pair[0] != "-o" for word in pair]
        again = json.loads(works("score", path.name, *ways, "--json").stdout)
        row = next(one for one in again["clients"] if one["client"] == "c3")
        assert told["suspicion"] == row["suspicion"]


def test_of_several_files_there_is_no_next_step(tmp_path):
    text = drawn(scores(["a", "b"], [2.0, 0.0]), terminal=True, way=None)
    assert "look closer" not in text


def test_a_pipe_gets_whole_notes_and_no_next_step():
    text = drawn(scores(["a", "b"], [2.0, 0.0]))
    assert ("a note of some length " * 6).strip() in text
    assert "look closer" not in text
    assert "1 of 2 clients flagged by lof (suspicion above 1)" in text


def test_shared_votes_are_counted():
    text = drawn(scores(["a", "b", "c"], [2.0, 0.0, 0.5], weight=[0.5, 0.5, 1.0]))
    assert "1 of those kept share votes" in text
    assert "share votes" not in drawn(scores(["a", "b"], [2.0, 0.0]))
