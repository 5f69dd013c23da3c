"""Replies judged without a framework: what does not fit is set aside, and changes nobody else."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

import lomar_cli
from lomar_cli.errors import UsageError
from lomar_cli.files.scores import as_document
from lomar_cli.integrations.replies import Reply, judge_replies

START = {"fc.weight": np.ones((3, 4), np.float32), "fc.bias": np.zeros(3, np.float32)}


def trained(client, start=START):
    rng = np.random.default_rng(client)
    return {n: a + rng.normal(size=a.shape).astype(np.float32) for n, a in start.items()}


def honest(count=12):
    return [Reply(f"c{client}", trained(client), 10 + client) for client in range(count)]


def judged(replies, start=START, method="lomar-auto", **scoring):
    return judge_replies(replies, start, method, 3, **scoring)


MISFITS = {
    "shape": ({**trained(50), "fc.bias": np.zeros(4, np.float32)}, r"fc.bias: has shape \(4,\)"),
    "scalar": ({**trained(50), "fc.bias": np.float32(1)}, r"fc.bias: has shape \(\)"),
    "missing": ({"fc.weight": START["fc.weight"]}, "fc.bias: is missing"),
    "nothing": ({}, "fc.weight: is missing"),
    "extra": ({**trained(50), "x\x1b[2J": np.zeros(1)}, r"x\\x1b\[2J: is there, but not in the mo"),
    "count": ({**trained(50), "num_examples": np.array(5)}, "num_examples: is there, but not in"),
    "wider": ({n: a.astype(np.float64) for n, a in trained(50).items()}, "has type float64, most"),
    "whole": ({**trained(50), "fc.bias": np.zeros(3, np.int64)}, "fc.bias: has type int64, most"),
    "text": ({**trained(50), "fc.bias": np.array(["a"] * 3)}, "fc.bias: has type <U1"),
    "objects": ({**trained(50), "fc.bias": np.array([None] * 3)}, "fc.bias: has type object"),
}


@pytest.mark.parametrize("place", [0, 5, 12], ids=["first", "middle", "last"])
@pytest.mark.parametrize("kind", MISFITS)
def test_what_does_not_fit_is_set_aside_and_changes_nobody(kind, place):
    arrays, reason = MISFITS[kind]
    arrays = {n: np.asarray(a) for n, a in arrays.items()}
    replies = honest()
    replies.insert(place, Reply("hostile", arrays, 7))
    found, plain = judged(replies), judged(honest())
    assert found.clients == [reply.client for reply in replies]
    row = found.clients.index("hostile")
    assert not found.keep[row]
    assert np.isfinite(found.suspicion[row])
    assert found.suspicion[row] >= found.suspicion.max()
    assert re.search(reason, found.columns["reason"][row])
    for name, values in plain.columns.items():
        others = [value for at, value in enumerate(found.columns[name]) if at != row]
        np.testing.assert_array_equal(others, list(values), err_msg=name)
    assert found.columns["num_examples"][row] == 7
    assert found.notes[0] == "1 of 13 replies set aside: they do not fit the round"


def test_a_fault_found_before_is_the_reason():
    replies = [Reply("x", fault="could not be read"), *honest()]
    found = judged(replies)
    assert found.columns["reason"][0] == "could not be read"
    assert not found.keep[0]
    assert found.keep[1:].all()


def test_the_same_as_score_updates():
    replies = honest()
    direct = lomar_cli.score_updates(
        {reply.client: reply.arrays for reply in replies},
        base_model=START,
        num_examples={reply.client: reply.num_examples for reply in replies},
        round_number=3,
    )
    assert as_document(judged(replies)) == as_document(direct)


def test_when_most_do_not_fit_nobody_is_kept():
    """The first to be judged alone would be the attacker, who read the model's shapes."""
    other = [Reply(f"o{n}", {"conv": np.zeros(2, np.float32)}) for n in range(7)]
    found = judged([*honest(6), *other])
    assert not found.keep.any()
    assert found.notes == ["only 6 of 13 updates fit the model: nobody is kept"]
    assert "only 6 of 13" in found.columns["reason"][0]
    assert "fc.weight: is missing" in found.columns["reason"][12]
    assert judged([*honest(7), *other[:6]]).keep[:7].all()
    assert not judged(other).keep.any()


def test_most_say_which_type():
    """A server whose start model is wider than what clients send is no reason to lose them."""
    wide = {name: array.astype(np.float64) for name, array in START.items()}
    assert as_document(judged(honest(), wide)) == as_document(judged(honest()))
    half = [
        Reply(r.client, {n: a.astype(np.float16) for n, a in r.arrays.items()}) for r in honest()
    ]
    third = {name: np.full_like(array, 1 / 3) for name, array in START.items()}
    # 1/3 is no float16: rounded to one, the model would be a thousandth off.
    direct = lomar_cli.score_updates({r.client: r.arrays for r in half}, base_model=third)
    np.testing.assert_array_equal(judged(half, third).suspicion, direct.suspicion)


def test_averaged_counters_are_whole_again():
    start = {**START, "norm.num_batches_tracked": np.float64(12.6)}
    start = {name: np.asarray(array) for name, array in start.items()}
    replies = [
        Reply(r.client, {**r.arrays, "norm.num_batches_tracked": np.asarray(20 + n)})
        for n, r in enumerate(honest())
    ]
    found = judged(replies, start)
    assert found.keep.all()
    assert "aside" not in " ".join(found.notes)


def test_options_that_do_not_fit_are_an_error():
    with pytest.raises(UsageError, match="nothing"):
        judged(honest(), output_layer="nothing")


@pytest.mark.parametrize("module", ["flower", "flower_fit"])
def test_without_flower_one_line_says_what_to_install(module):
    script = (
        "import sys; sys.modules['flwr'] = None\n"
        f"try: from lomar_cli.integrations import {module}\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"lomar_cli.integrations.{module}: needs flwr")
    assert "pip install 'lomar-cli[flower]'" in line
