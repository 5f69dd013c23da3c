"""What docs/format.md says of the digest is enough to compute it without lomar."""

from __future__ import annotations

import re
import subprocess
import sys

import h5py
import numpy as np
import pytest

from tests.commands import ROOT, works

PAGE = (ROOT / "docs" / "format.md").read_text()


@pytest.fixture(scope="module")
def digest(tmp_path_factory):
    """The page's own script, run on a file."""
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path_factory.mktemp("page") / "digest.py"
    path.write_text(script)

    def run(file):
        done = subprocess.run(
            [sys.executable, "-I", path, file], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    return run


@pytest.mark.parametrize("kind", ["split", "poisoned", "round", "scores", "model"])
def test_the_pages_script_agrees(kind, digest, untrained):
    path = getattr(untrained, kind)
    with h5py.File(path) as handle:
        stored = handle.attrs["content_sha256"].decode()
    assert digest(path) == stored


def test_the_pages_example(digest, tmp_path):
    (expected,) = re.findall(r"which lomar stores and the script prints, is\n\n```\n(\w+)\n", PAGE)
    for name, values in (("a", [1, 2]), ("b", [3, 4])):
        np.save(tmp_path / f"{name}.npy", np.float32(values))
    files = (tmp_path / "a.npy", tmp_path / "b.npy", "--differences", "--output-layer", "none")
    works("dump", *files, "-o", tmp_path / "tiny.h5")
    assert digest(tmp_path / "tiny.h5") == expected
