"""Distances by torch beside those of the processor and plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.errors import LomarError
from lomar_cli.scoring.distances import SquareSum
from lomar_cli.stages.score import score
from tests.making import tensors, write_round

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_numbers_as_on_the_processor(dtype):
    from lomar_cli.learning.distances_device import DeviceSquares

    rng = np.random.default_rng(0)
    x = 100 + rng.normal(size=(23, 60))
    x[20] = x[2] + 1e-4 * rng.normal(size=60)
    x[17] = x[5]
    x[9] = 1e9
    x = x.astype(dtype)
    here, there = SquareSum(23), DeviceSquares("cpu", 23)
    for adder in (here, there):
        adder.add(x[:, :40])
        adder.add(x[:, 40:])
    found = there.finish()
    wide = x.astype(np.float64)
    expected = ((wide[:, None] - wide[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(found, expected, rtol=2e-3)
    np.testing.assert_allclose(found, here.finish(), rtol=1e-4)
    assert found[17, 5] == 0 and (found == found.T).all() and (found.diagonal() == 0).all()


def test_an_absent_device_is_one_line(tmp_path):
    path = write_round(tmp_path / "r.h5", tensors(6))
    with pytest.raises(LomarError, match="--device nonsense"):
        score(path, device="nonsense")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
@pytest.mark.parametrize("memory", [1, 2**30])
def test_the_same_decisions_on_a_gpu(memory, tmp_path):
    path = write_round(tmp_path / "r.h5", tensors(60, 10, 64))
    here, there = score(path, memory=memory), score(path, memory=memory, device="cuda")
    np.testing.assert_allclose(here.suspicion, there.suspicion, rtol=1e-3, atol=1e-3)
    assert (here.keep == there.keep).all()
