"""BLAS threads are held to one inside, and given back outside."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from lomar_cli.threads import one_blas_thread


def blas_threads():
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]


def test_one_inside_and_as_before_outside():
    assert np.ones((2, 2)).sum() == 4
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        for _ in range(2):
            with one_blas_thread():
                assert set(blas_threads()) == {1}
            assert blas_threads() == before


def test_libraries_loaded_later_are_held_too():
    with one_blas_thread():
        pass
    import scipy.linalg

    assert scipy.linalg.norm([3.0, 4.0]) == 5
    with one_blas_thread():
        assert set(blas_threads()) == {1}
