"""Plain outlier detectors against scikit-learn on the updates themselves, and slow loops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2
from sklearn.covariance import MinCovDet
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest as Forest
from sklearn.neighbors import KernelDensity, LocalOutlierFactor

from lomar_cli.errors import UsageError
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.common import mad_limit
from lomar_cli.scoring.ecod import Ecod
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.isolation_forest import IsolationForest
from lomar_cli.scoring.kde import Kde
from lomar_cli.scoring.lof import Lof
from lomar_cli.scoring.norm_threshold import NormThreshold
from lomar_cli.scoring.robust_covariance import RobustCovariance
from tests.scoring.plain import attacked, from_matrix, matrix, view_of


def named_in_order(updates):
    """So that scikit-learn sees the clients in the order in which the methods show them."""
    return from_matrix(matrix(updates), [f"c{i:03}" for i in range(len(updates.clients))])


def test_lof():
    updates = attacked()
    judged = Lof(neighbors="7")(view_of(updates))
    estimator = LocalOutlierFactor(n_neighbors=7).fit(matrix(updates))
    np.testing.assert_allclose(judged.suspicion, -estimator.negative_outlier_factor_)
    assert judged.threshold == -estimator.offset_


def test_kde_leaves_each_client_out():
    updates = attacked()
    values = matrix(updates)
    judged = Kde(bandwidth="0.9")(view_of(updates))
    constant = values.shape[1] * math.log(0.9 * math.sqrt(2 * math.pi))
    for row in range(len(values)):
        others = KernelDensity(bandwidth=0.9).fit(np.delete(values, row, axis=0))
        expected = others.score_samples(values[row : row + 1])[0] + constant
        assert judged.suspicion[row] == pytest.approx(-expected, rel=1e-9)


def test_kde_where_every_kernel_underflows():
    judged = Kde(bandwidth="1e-9")(view_of(attacked()))
    assert np.isfinite(judged.suspicion).all()
    assert judged.suspicion.min() > 1e15


def test_isolation_forest():
    updates = named_in_order(attacked())
    judged = IsolationForest()(view_of(updates, seed=3))
    estimator = Forest(random_state=3, max_samples=30).fit(matrix(updates))
    np.testing.assert_allclose(judged.suspicion, -estimator.score_samples(matrix(updates)))
    assert judged.threshold == -estimator.offset_


def test_isolation_forest_draws_parameters_when_memory_is_short():
    updates = attacked()
    judged = IsolationForest()(RoundView(updates, Geometry(updates, memory=8 * 30 * 10)))
    assert "10 of 41 parameters" in judged.notes[1]


def test_robust_covariance():
    updates = named_in_order(attacked(count=60))
    judged = RobustCovariance(components=3)(view_of(updates))
    points = PCA(3).fit_transform(matrix(updates))
    estimator = MinCovDet(random_state=0).fit(points)
    np.testing.assert_allclose(judged.suspicion, estimator.mahalanobis(points), rtol=1e-4)
    assert judged.threshold == pytest.approx(chi2.ppf(0.975, 3))


def test_robust_covariance_when_most_coincide():
    values = np.zeros((20, 4))
    values[:5] = np.random.default_rng(0).standard_normal((5, 4))
    judged = RobustCovariance(components=1)(view_of(from_matrix(values)))
    assert np.isfinite(judged.suspicion).all()
    assert judged.keep[5:].all()
    assert not judged.keep[:5].any()


def ecod_by_loops(values):
    """Algorithm 1 of the paper, as it is printed."""
    count, size = values.shape
    left, right, auto = np.zeros(count), np.zeros(count), np.zeros(count)
    for j in range(size):
        column = values[:, j].tolist()
        mean = sum(column) / count
        skewness = sum((x - mean) ** 3 for x in column)
        for i, x in enumerate(column):
            below = -math.log(sum(y <= x for y in column) / count)
            above = -math.log(sum(y >= x for y in column) / count)
            left[i] += below
            right[i] += above
            auto[i] += below if skewness < 0 else above
    return np.maximum(np.maximum(left, right), auto)


def ecod_of(values):
    """In the values' own type."""
    return Ecod()(view_of(replace(from_matrix(values), tensors={"w": values})))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("ties", [False, True])
def test_ecod(ties, kind):
    values = np.random.default_rng(0).gamma(2.0, size=(25, 7)) - 2
    if ties:
        values = np.round(values) * [1, 1, 1, 0, 1, 1, 1]
        # Both zeros are one value.
        values[:9, 2] *= 0
        assert np.signbit(values[:, 2][values[:, 2] == 0]).any()
    judged = ecod_of(values.astype(kind))
    np.testing.assert_allclose(judged.suspicion, ecod_by_loops(values.astype(kind)))


def test_ecod_tells_values_apart_that_differ_in_their_last_bit():
    values = np.full((40, 3), np.float32(-1.5))
    values[7], values[21] = np.nextafter(values[7], np.float32(-2)), 1e-42
    values[30] = np.nextafter(values[30], np.float32(0))
    np.testing.assert_allclose(ecod_of(values).suspicion, ecod_by_loops(values))


def test_mad_limit_by_hand():
    limit, note = mad_limit(np.array([1.0, 2.0, 3.0, 4.0, 100.0]))
    assert limit == pytest.approx(3 + 3.5 * 1.4826)
    assert "states no threshold" in note


def test_norm_threshold_is_the_length_against_the_median():
    rows = [[3.0, 4.0], [0.6, 0.8], [0.0, 2.0], [1.2, -1.6]]
    judged = NormThreshold()(view_of(from_matrix(rows)))
    assert judged.suspicion == pytest.approx([5, 1, 2, 2])
    assert judged.threshold == pytest.approx(4)
    assert judged.keep.tolist() == [False, True, True, True]
    judged = NormThreshold("1.5")(view_of(from_matrix(rows)))
    assert judged.keep.tolist() == [False, True, False, False]
    with pytest.raises(UsageError, match="--set bound=0x"):
        NormThreshold("0x")
