"""What every registered method must do, whatever it computes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from lomar_cli.errors import LomarError, UsageError
from lomar_cli.files.updates import Updates
from lomar_cli.scoring import geometry
from lomar_cli.scoring.base import Judgement
from lomar_cli.scoring.judge import ASIDE, judge, prepare
from lomar_cli.scoring.registry import METHODS
from tests.scoring.plain import history

NAMES = list(METHODS.table)
methods = pytest.mark.parametrize("name", NAMES)


def season(count=24, seed=0, bad=5):
    """The current round, and what may lie beside it: earlier rounds, a trusted one, a loss."""
    *earlier, now, trusted = history(5, count, seed, labels=4, width=6, noise=0.3)
    rng = np.random.default_rng(seed)
    for updates in [*earlier, now]:
        for values in updates.tensors.values():
            values[:bad] = 1.5 + 0.3 * rng.standard_normal(values[:bad].shape)
    return now, {"history": earlier, "root": trusted, "seed": 5, "loss": loss}


def loss(step):
    """A loss on data of one's own: the model's distance from what would be best."""
    return sum(float(((values + 1) ** 2).sum()) for values in step.values()) if step else 28.0


def run(name, updates, beside, **options):
    return judge(updates, METHODS.make(name, options), **beside)


@methods
def test_keeps_exactly_who_is_not_above_the_threshold(name):
    now, beside = season()
    judged = run(name, now, beside)
    assert np.isfinite(judged.suspicion).all()
    assert np.isfinite(judged.threshold)
    assert judged.keep.tolist() == (judged.suspicion <= judged.threshold).tolist()
    assert len(judged.reasons) == 24
    assert all(reason.strip() for reason in judged.reasons)
    assert all(values.shape == (24,) for values in judged.columns.values())
    assert all(note.strip() for note in judged.notes)


@methods
def test_same_seed_same_numbers(name):
    one, other = (run(name, *season()) for _ in range(2))
    assert np.array_equal(one.suspicion, other.suspicion)
    assert one.threshold == other.threshold
    assert list(one.reasons) == list(other.reasons)


@methods
@pytest.mark.parametrize("seed", [0, 1])
def test_order_of_the_file_changes_nothing(name, seed):
    now, beside = season(seed=seed)
    order = np.random.default_rng(seed).permutation(24)
    before = run(name, now, beside)
    after = run(name, now.rows(order), beside)
    np.testing.assert_allclose(after.suspicion, before.suspicion[order], rtol=1e-6, atol=1e-9)
    assert after.keep.tolist() == before.keep[order].tolist()


@methods
@pytest.mark.parametrize("place", [0, 11, 24])
def test_a_hostile_client_moves_nobody_else(name, place):
    now, beside = season()
    tensors = {key: np.insert(values, place, 0, axis=0) for key, values in now.tensors.items()}
    tensors["fc.weight"][place, 1, 2] = np.nan
    clients = [*now.clients[:place], "bad", *now.clients[place:]]
    joined = Updates(clients, np.ones(25, np.int64), tensors, now.output)
    alone, together = run(name, now, beside), run(name, joined, beside)
    others = np.delete(np.arange(25), place)
    assert np.array_equal(together.suspicion[others], alone.suspicion)
    assert together.keep[others].tolist() == alone.keep.tolist()
    assert together.suspicion[place] == ASIDE
    assert not together.keep[place]


@methods
def test_nonsense_in_an_earlier_round_moves_nobody_else(name):
    now, beside = season()
    before = run(name, now, beside)
    first = beside["history"][0]
    rows = np.arange(1, 24)
    absent = first.rows(rows)
    first.tensors["fc.bias"][0, 0] = np.inf
    sick = run(name, now, beside)
    away = run(name, now, {**beside, "history": [absent, *beside["history"][1:]]})
    assert np.array_equal(sick.suspicion, away.suspicion)
    assert np.isfinite(before.suspicion).all()


@methods
@pytest.mark.parametrize("count", range(1, 11))
def test_few_clients_work_or_it_says_what_it_needs(name, count):
    now, beside = season(count, bad=0)
    try:
        judged = run(name, now, beside)
    except UsageError as error:
        assert str(error).startswith("--method ")
        assert "needs" in str(error)
        assert str(count) in str(error) or "round" in str(error)
        return
    assert np.isfinite(judged.suspicion).all()
    assert judged.keep.tolist() == (judged.suspicion <= judged.threshold).tolist()


@methods
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_identical_updates_keep_everybody_or_say_why_not(name, value):
    now, beside = season()
    for values in now.tensors.values():
        values[:] = value
    judged = run(name, now, beside)
    if "foolsgold" in name:
        # Identical updates are what it takes for sybils.
        return
    if name == "fldetector":
        # They are compared with earlier rounds, and the first five have been inconsistent.
        assert judged.keep[5:].all()
        return
    if name in ("fltrust", "zeno-plus"):
        # One and the same cosine with the trusted update: all of them, or nobody.
        assert len(set(judged.keep.tolist())) == 1
        return
    assert judged.keep.all(), judged.reasons


@methods
def test_without_context_it_works_or_says_what_it_needs(name):
    now, _ = season()
    try:
        judge(now, METHODS.make(name, {}))
    except UsageError as error:
        assert str(error).startswith(f"--method {name}: needs ")
        assert any(option in str(error) for option in ("--root", "--history", "--holdout"))


def test_distances_are_computed_once_for_all_methods(monkeypatch):
    calls = {"blocks": 0, "gram": 0, "principal": 0, "whole": 0}
    plain = geometry.Geometry.squares_of
    gram, principal = geometry.Geometry.gram.func, geometry.Geometry.principal.func
    squares = geometry.Geometry.squares.func

    def count(name, function):
        def counted(*args):
            calls[name] += 1
            return function(*args)

        return counted

    monkeypatch.setattr(geometry.Geometry, "squares_of", count("blocks", plain))
    for name, key, function in (
        ("gram", "gram", gram),
        ("principal", "principal", principal),
        ("squares", "whole", squares),
    ):
        patched = geometry.cached_property(count(key, function))
        patched.__set_name__(geometry.Geometry, name)
        monkeypatch.setattr(geometry.Geometry, name, patched)
    now, beside = season()
    screened = prepare(now, **beside)
    for name in NAMES:
        screened.judge(METHODS.make(name, {}))
    # A block of distances a label, and nothing twice.
    assert calls == {"blocks": 4, "gram": 1, "principal": 1, "whole": 1}


# What moves with the scale of a round: an option in its units, or a loss of what a step does.
UNITS = ("zeno", "zeno-plus")


@pytest.mark.parametrize("scale", [1e20, 1e-25])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in UNITS])
def test_the_scale_of_a_round_is_no_matter_even_where_squares_do_not_fit(name, scale):
    now, beside = season()

    def scaled(updates):
        tensors = {k: (v * scale).astype(np.float32) for k, v in updates.tensors.items()}
        return Updates(updates.clients, updates.num_examples, tensors, updates.output)

    try:
        whole = run(name, now, beside)
    except UsageError as error:
        pytest.skip(str(error))
    far = {**beside, "history": [scaled(one) for one in beside["history"]]}
    far["root"] = scaled(beside["root"])
    there = run(name, scaled(now), far)
    assert np.isfinite(there.suspicion).all()
    np.testing.assert_array_equal(there.keep, whole.keep)


@dataclass(frozen=True)
class Foreign:
    """A method of another package that gets one thing wrong."""

    wrong: dict

    def __call__(self, view):
        n = len(view.updates.clients)
        good = Judgement(np.zeros(n), 1.0, np.ones(n, bool), [""] * n)
        return replace(good, **{key: make(n) for key, make in self.wrong.items()})


@pytest.mark.parametrize(
    ("wrong", "mention"),
    [
        ({"suspicion": lambda n: np.full(n, np.nan)}, "NaN"),
        ({"suspicion": lambda n: np.zeros(n - 1)}, "shape"),
        ({"keep": lambda n: np.ones(n)}, "bool"),
        ({"keep": lambda n: np.ones((n, 1), bool)}, "shape"),
        ({"reasons": lambda n: [""]}, "reasons"),
        ({"threshold": lambda n: np.nan}, "threshold"),
        ({"weight": lambda n: np.full(n, 5.0)}, "weight"),
        ({"columns": lambda n: {"keep": np.zeros(n)}}, "keep is the name"),
        ({"columns": lambda n: {"mine": np.zeros(2)}}, "mine must have shape"),
    ],
)
def test_what_is_no_judgement_is_refused_by_name(wrong, mention):
    now, _ = season()
    assert judge(now, Foreign({})).keep.all()
    with pytest.raises(LomarError, match="Foreign") as refused:
        judge(now, Foreign(wrong))
    assert mention in str(refused.value)
