"""The area under the ROC curve against scikit-learn's and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lomar_cli.learning.metrics import auc


def test_by_hand():
    assert auc(np.array([3.0, 1.0]), np.array([2.0, 1.0, 0.0])) == (3 + 1.5) / 6
    assert auc(np.array([np.inf]), np.array([1.0, np.inf])) == 0.75
    assert auc(np.array([]), np.array([1.0])) is None
    assert auc(np.array([1.0]), np.array([])) is None


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_equals_scikit_learn_with_ties(levels):
    rng = np.random.default_rng(levels)
    scores = rng.integers(0, levels, 300).astype(float)
    guilty = rng.random(300) < 0.3
    found = auc(scores[guilty], scores[~guilty])
    assert found == pytest.approx(roc_auc_score(guilty, scores), rel=1e-12)
