"""Trained parameters that are one number everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.stages.dump import dump
from lomar_cli.stages.dump_append import append


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    base = {"fc.weight": rng.normal(size=(4, 30)), "fc.bias": rng.normal(size=4)}
    np.savez(tmp_path / "base.npz", **base)
    made = {f"c{n}": {k: v + rng.normal(0, 0.01, v.shape) for k, v in base.items()} for n in (1, 2)}
    made["nought"] = {name: np.zeros_like(value) for name, value in base.items()}
    made["halves"] = {name: np.full_like(value, 0.5) for name, value in base.items()}
    made["nan"] = {name: np.full_like(value, np.nan) for name, value in base.items()}
    # Only one of its tensors is flat, as a bias may be.
    made["c3"] = {**made["c1"], "fc.bias": np.zeros(4)}
    for name, arrays in made.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
    return {name: tmp_path / f"{name}.npz" for name in ("base", *made)}


def test_dump_and_append_name_them(files, tmp_path):
    honest = [files["c1"], files["c2"], files["c3"], files["nan"]]
    done = dump(honest, tmp_path / "r.h5", base_model=files["base"])
    assert not any("everywhere" in warning for warning in done.warnings)
    wanted = "trained parameters that are one number everywhere: nought (zero), halves (about 0.5);"
    odd = [files["nought"], files["halves"]]
    done = dump([*honest, *odd], tmp_path / "all.h5", base_model=files["base"])
    assert any(warning.startswith(wanted) for warning in done.warnings)
    added = append(odd, tmp_path / "r.h5", base_model=files["base"])
    assert any(warning.startswith(wanted) for warning in added.warnings)


def test_differences_may_be_so(files, tmp_path):
    done = dump([files["c1"], files["nought"]], tmp_path / "r.h5", differences=True)
    assert not any("everywhere" in warning for warning in done.warnings)
