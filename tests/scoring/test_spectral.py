"""Principal components, spectral separation and DnC against the singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from lomar_cli.errors import UsageError
from lomar_cli.scoring import components
from lomar_cli.scoring.common import top_limit
from lomar_cli.scoring.components import centred_gram, coordinates, coordinates_of_rows
from lomar_cli.scoring.dnc import DnC
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.spectral import Spectral
from tests.scoring.plain import attacked, from_matrix, matrix, view_of
from tests.scoring.rounds import random_round


@pytest.mark.parametrize("count", [3, 40, 350])
def test_coordinates_are_scikit_learns(count):
    updates = random_round(0, count, 3, 12, offset=5.0)
    found = Geometry(updates).principal
    real = min(10, count - 1)
    expected = PCA(real).fit_transform(matrix(updates))
    np.testing.assert_allclose(np.abs(found[:, :real]), np.abs(expected), atol=1e-6)
    assert not found[:, real:].any()


@pytest.mark.parametrize(("count", "size"), [(30, 50), (50, 30), (500, 450), (20, 20), (9, 1)])
def test_coordinates_of_rows_are_scikit_learns(count, size):
    rows = np.random.default_rng(size).standard_normal((count, size)) * np.linspace(3, 1, size)
    rows -= rows.mean(axis=0)
    real = min(2, size)
    found = coordinates_of_rows(rows, 2)
    expected = PCA(real).fit_transform(rows)
    np.testing.assert_allclose(np.abs(found[:, :real]), np.abs(expected), atol=1e-9)
    assert not found[:, real:].any()
    assert (found.max(axis=0) >= -found.min(axis=0)).all()


@pytest.mark.parametrize("count", [1, 2, 4])
def test_iterating_finds_what_lapack_finds(count, monkeypatch):
    monkeypatch.setattr(components, "_SMALL", {True: 300, False: 300})
    gram = centred_gram(Geometry(random_round(1, 320, 3, 12)).squares)
    values, vectors = np.linalg.eigh(gram)
    expected = np.abs(vectors[:, ::-1][:, :count] * np.sqrt(values[::-1][:count]))
    np.testing.assert_allclose(np.abs(coordinates(gram, count)), expected, atol=1e-8)


@pytest.mark.parametrize("rank", [0, 1])
def test_iterating_copes_with_components_that_do_not_exist(rank):
    line = rank * np.linspace(-1, 2, 450)
    found = coordinates(centred_gram((line[:, None] - line) ** 2), 2)
    centred = line - line.mean()
    assert np.abs(found[:, 0]) == pytest.approx(np.abs(centred), abs=1e-6)
    assert not found[:, 1].any()


def by_svd(values):
    centred = values - values.mean(axis=0)
    _, _, vectors = np.linalg.svd(centred, full_matrices=False)
    return (centred @ vectors[0]) ** 2


def test_spectral_is_the_top_singular_vectors_projection():
    updates = attacked()
    judged = Spectral(assume_malicious="4")(view_of(updates))
    expected = by_svd(matrix(updates))
    np.testing.assert_allclose(judged.suspicion, expected, rtol=1e-8, atol=1e-10)
    flagged = np.flatnonzero(~judged.keep)
    assert sorted(flagged) == sorted(np.argsort(-expected)[:6])
    assert "1.5 times the 4 assumed malicious (as told)" in judged.notes[0]


def test_spectral_flags_as_many_times_the_assumed_as_it_is_told():
    for times, flagged in ((1.0, 4), (1.5, 6), (2.3, 9)):
        judged = Spectral(assume_malicious="4", times=times)(view_of(attacked()))
        assert (~judged.keep).sum() == flagged


def test_dnc_over_all_coordinates_is_one_projection():
    updates = attacked()
    judged = DnC(assume_malicious="6")(view_of(updates))
    expected = by_svd(matrix(updates))
    assert sorted(np.flatnonzero(~judged.keep)) == sorted(np.argsort(-expected)[:6])


def test_dnc_by_loops():
    """Algorithm 2: per draw, drop the c M largest; the good are in every draw's rest."""
    updates = attacked(shift=1.0)
    values = matrix(updates)
    made = DnC(assume_malicious="5", iterations=4, coordinates=9, filter=1.2)
    judged = made(view_of(updates, seed=7))
    rng = np.random.default_rng(7)
    good = set(range(30))
    for _ in range(4):
        scores = by_svd(values[:, np.sort(rng.choice(41, 9, replace=False))])
        good &= set(np.argsort(scores)[: 30 - int(1.2 * 5)])
    assert set(np.flatnonzero(judged.keep)) == good


def test_top_limit_never_flags_more_than_asked():
    assert (np.array([1, 2, 3, 4.0]) > top_limit(np.array([1, 2, 3, 4.0]), 2)).sum() == 2
    assert not (np.ones(5) > top_limit(np.ones(5), 2)).any()
    copies = np.array([1, 2, 2 + 1e-12, 2 + 3e-12, 3.0])
    assert np.flatnonzero(copies > top_limit(copies, 2)).tolist() == [4]
    assert np.flatnonzero(-copies > top_limit(-copies, 2)).tolist() == [0]


def test_far_off_updates_cost_no_digits():
    values = np.random.default_rng(0).standard_normal((20, 6))
    near = Spectral()(view_of(from_matrix(values)))
    far = Spectral()(view_of(from_matrix(values + 1e6)))
    np.testing.assert_allclose(near.suspicion, far.suspicion, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("option", [{"iterations": 0}, {"coordinates": 0}, {"filter": -1.0}])
def test_options_out_of_range(option):
    with pytest.raises(UsageError, match=next(iter(option))):
        DnC(**option)
