"""What one client, the order of clients, a choice of views or the number of jobs may change."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.errors import UsageError
from lomar_cli.scoring.auto.views import VIEWS
from lomar_cli.scoring.judge import judge
from lomar_cli.scoring.lomar_auto import LEAST_CLIENTS, LomarAuto
from tests.scoring.auto.rounds import appended, auto, changed, digits, flat
from tests.scoring.plain import from_matrix

ATTACKED = {"flips": ((1, 7),), "attackers": 20}


def rounds():
    yield digits("0", 1)[0]
    yield digits("0.5", 1, **ATTACKED)[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 0.0])
@pytest.mark.parametrize("at", ["first", "last", "one number"])
def test_a_client_of_nonsense_moves_nobody_else(value, at):
    for updates in rounds():
        before = auto(updates)
        row = np.full((1, flat(updates).shape[1]), value)
        if at == "one number":
            if value == 0:
                continue
            row = flat(updates)[:1]
            row[0, 17] = value
        more = appended(updates, row, ["hostile"])
        count = len(more.clients)
        order = np.arange(count) if at == "last" else np.roll(np.arange(count), 1)
        after = auto(more.rows(order))
        where = np.flatnonzero(order == count - 1)[0]
        assert not after.keep[where] and np.isfinite(after.suspicion[where])
        others = order != count - 1
        np.testing.assert_allclose(after.suspicion[others], before.suspicion, rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(after.keep[others], before.keep)
        np.testing.assert_array_equal(after.weight[others], before.weight)
        assert [r for r, other in zip(after.reasons, others, strict=True) if other] == list(
            before.reasons
        )


@pytest.mark.parametrize("factor", [1e2, 1e4, 9e5, -1e4, 1e-4])
def test_a_client_too_small_or_large_to_be_like_the_others_moves_no_verdict(factor):
    """Within what the screen lets through."""
    for updates in rounds():
        before = auto(updates)
        after = auto(appended(updates, factor * flat(updates)[:1], ["hostile"]))
        changed_ones = (after.keep[:-1] != before.keep).sum()
        assert changed_ones <= 1
        if abs(factor) > 1:
            assert not after.keep[-1]


def test_the_order_of_clients_does_not_matter():
    rng = np.random.default_rng(0)
    for updates in rounds():
        before = auto(updates)
        order = rng.permutation(len(updates.clients))
        after = auto(updates.rows(order))
        np.testing.assert_allclose(after.suspicion, before.suspicion[order], rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(after.keep, before.keep[order])
        # One label's number in a reason may round the other way.
        same = [a == before.reasons[i] for a, i in zip(after.reasons, order, strict=True)]
        assert np.mean(same) > 0.95


@pytest.mark.parametrize("scale", [1e-3, 2.0**-20, 2.0**-36, 2.0**40])
def test_the_scale_of_all_updates_does_not_matter(scale):
    for updates in rounds():
        before = auto(updates)
        scaled = {name: (scale * t).astype(t.dtype) for name, t in updates.tensors.items()}
        after = auto(changed(updates, **scaled))
        # By powers of two nothing is rounded otherwise.
        close = {"rtol": 1e-3, "atol": 1e-4} if scale == 1e-3 else {"rtol": 1e-9}
        np.testing.assert_allclose(after.suspicion, before.suspicion, **close)
        np.testing.assert_array_equal(after.keep, before.keep)


def test_jobs_and_memory_give_the_same_bytes():
    for updates in rounds():
        plain = auto(updates)
        for more in ({"jobs": 2}, {"memory": 2**22}, {"jobs": 3}):
            other = judge(updates, LomarAuto(), **more)
            if "memory" in more:
                np.testing.assert_allclose(other.suspicion, plain.suspicion, rtol=1e-4, atol=1e-5)
                np.testing.assert_array_equal(other.keep, plain.keep)
            else:
                assert other.suspicion.tobytes() == plain.suspicion.tobytes()
                assert other.reasons == plain.reasons


def test_every_view_alone_gives_its_own_column():
    updates = digits("0.5", 1, **ATTACKED)[0]
    for name in VIEWS:
        said = auto(updates, views=name)
        assert list(said.columns) == [f"view_{name}"]
        column = said.columns[f"view_{name}"]
        np.testing.assert_array_equal(said.keep, ~(column > 1))
        for kept, reason in zip(said.keep, said.reasons, strict=True):
            assert kept or reason.startswith(f"{name} ")
    # Alone and first, a view says the same as among the others.
    first = next(iter(VIEWS))
    together = auto(updates).columns[f"view_{first}"]
    np.testing.assert_array_equal(auto(updates, views=first).columns[f"view_{first}"], together)


def test_the_reason_names_the_views_that_found_a_client():
    updates, bad = digits("0", 1, flips=((1, 7),), attackers=20, samples=100)
    said = auto(updates)
    assert said.threshold == 1.0
    np.testing.assert_array_equal(said.keep, said.suspicion <= 1)
    assert (~said.keep[bad]).mean() >= 0.9
    for i in np.flatnonzero(~said.keep):
        for name in VIEWS:
            flagged = said.columns[f"view_{name}"][i] > 1
            assert flagged == any(
                part.startswith(f"{name} ") for part in said.reasons[i].split("; ")
            )
    assert set(np.array(said.reasons)[said.keep]) == {"within every view's threshold"}


def test_views_are_checked_and_kept_in_their_own_order():
    assert LomarAuto(views="far,near").chosen() == ["near", "far"]
    assert LomarAuto().chosen() == list(VIEWS)
    for bad in ("nar", "near,fra", ",", ""):
        with pytest.raises(UsageError, match="--views"):
            LomarAuto(views=bad)
    with pytest.raises(UsageError, match=r"there is no view 'nar'.*near"):
        LomarAuto(views="nar")
    for bad in (0.0, 0.5, -1, float("nan")):
        with pytest.raises(UsageError, match="--false-alarm"):
            LomarAuto(false_alarm=bad)


def test_a_larger_false_alarm_never_removes_fewer():
    for scheme in ("0", "0.9", "dirichlet0.1"):
        for seed in (1, 2):
            updates, _ = digits(scheme, seed, honest=40)
            removed = [(~auto(updates, false_alarm=a).keep).sum() for a in (0.001, 0.01, 0.1, 0.3)]
            assert removed == sorted(removed)


def test_a_round_too_small_keeps_everybody_and_says_so():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((LEAST_CLIENTS - 1, 5))
    values[0] *= 100
    said = auto(from_matrix(values))
    assert said.keep.all() and (said.suspicion == 0).all()
    assert f"it takes {LEAST_CLIENTS}" in said.notes[0]
    assert all(reason.startswith("cannot be judged") for reason in said.reasons)
    assert not auto(from_matrix(np.vstack([values, rng.standard_normal((1, 5))]))).keep[0]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_equal_updates_are_all_kept(value):
    said = auto(from_matrix(np.full((20, 4), value)))
    assert said.keep.all()
    if value:
        assert "only 1 of 20 updates are different" in said.notes[0]
        np.testing.assert_allclose(said.weight, 1 / 20)
    else:
        assert any("too uniform to compare distances" in note for note in said.notes)
        assert any("no view could judge" in note for note in said.notes)
