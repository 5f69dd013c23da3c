"""Who is set aside for one number everywhere, against a slow loop, in memory and from a file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lomar_cli.files.round import open_round
from lomar_cli.files.updates import Updates
from lomar_cli.scoring.judge import prepare
from lomar_cli.scoring.screen import LEAST, screen
from tests.making import write_round

SHAPES = {"a": (3, 4, 2), "b": (5,), "c": ()}


def as_updates(tensors, buffers=()):
    count = len(next(iter(tensors.values())))
    names = [f"c{row}" for row in range(count)]
    return Updates(names, np.ones(count, np.int64), tensors, buffers=frozenset(buffers))


def slow(tensors):
    """The rows whose numbers are all the same to a thousandth, unless more than a third are."""
    count = len(next(iter(tensors.values())))
    found = set()
    for row in range(count):
        numbers = [float(x) for tensor in tensors.values() for x in np.ravel(tensor[row])]
        largest = max(abs(x) for x in numbers)
        same = all(x * numbers[0] > 0 and abs(x) >= 0.999 * largest for x in numbers)
        if same and len(numbers) >= LEAST:
            found.add(row)
    return found if 3 * len(found) <= count else set()


@st.composite
def rounds(draw):
    """Nine clients; some send one number, of these some all but exactly, or with one exception."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["f2", "f4", "f8"]))
    made = {name: rng.normal(size=(9, *shape)) for name, shape in SHAPES.items()}
    for row in draw(st.lists(st.integers(0, 8), max_size=5, unique=True)):
        value = draw(st.sampled_from([0.5, -0.01, 3.0]))
        noise = draw(st.sampled_from([0.0, 2e-4, 1e-2]))
        for tensor in made.values():
            tensor[row] = value * (1 - noise * rng.random(tensor.shape[1:]))
        if draw(st.booleans()):
            odd = draw(st.sampled_from(sorted(SHAPES)))
            made[odd][row, ...].reshape(-1)[-1:] *= draw(st.sampled_from([-1, 0, 0.5]))
    return {name: tensor.astype(kind) for name, tensor in made.items()}


@settings(max_examples=150, deadline=None)
@given(made=rounds())
def test_one_number_everywhere_is_what_a_slow_loop_says(made):
    found = {row for row, why in screen(as_updates(made)).items() if "one number" in why}
    assert found == slow(made)


def test_the_same_from_a_file(tmp_path):
    rng = np.random.default_rng(0)
    made = {"w": rng.normal(size=(9, 40, 700)).astype("f4"), "b": np.ones((9, 40), "f4")}
    made["w"][[2, 5]] = 1
    made["w"][7] = 1
    made["w"][7, -1, -1] = 2
    path = write_round(tmp_path / "r.h5", made, output=None)
    with open_round(path, memory=0) as found:
        assert found.updates.streamed
        assert set(screen(found.updates)) == {2, 5}


@pytest.mark.parametrize("size", range(1, LEAST))
def test_a_tiny_model_may_send_one_number(size):
    made = {"w": np.random.default_rng(size).normal(size=(9, size))}
    made["w"][0] = 1
    assert screen(as_updates(made)) == {}


def test_counters_and_frozen_layers_are_no_offence():
    rng = np.random.default_rng(1)
    made = {"frozen": np.zeros((9, 50)), "w": rng.normal(size=(9, 20)), "n": np.full((9, 20), 7.0)}
    made["n"][0] = 9
    assert prepare(as_updates(made, ["n"])).aside == {}


def test_a_round_of_such_clients_is_judged():
    """Where more than a third send one number it is what clients of this round do."""
    made = {"w": np.random.default_rng(2).normal(size=(9, 20))}
    made["w"][:4] = [[1], [2], [3], [4]]
    assert screen(as_updates(made)) == {}
    made["w"][3, 0] = 0
    assert set(screen(as_updates(made))) == {0, 1, 2}
