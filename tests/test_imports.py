"""Imports run one way, and scoring starts without the heavy libraries."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lomar_cli

ROOT = Path(lomar_cli.__file__).parent
# cli -> experiments -> stages -> the science -> files -> errors; a room may import from lower
# ranks and itself.
RANKS = {
    "cli": 5,
    "experiments": 4,
    "stages": 3,
    "learning": 2,
    "attacks": 2,
    "scoring": 2,
    "aggregation": 2,
    "plots": 2,
    "data": 1,
    "engine": 1,
    "files": 0,
}
# Rooms of one rank know nothing of each other, but for these.
ALLOWED = {
    ("aggregation", "scoring"),
    ("learning", "scoring"),
    ("learning", "data"),
    ("attacks", "data"),
}
HEAVY = ("torch", "torchvision", "sklearn", "matplotlib", "scipy", "pandas")


def modules():
    return sorted(ROOT.rglob("*.py"))


def imported(path):
    """Rooms of this package that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names = [node.module or ""]
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "lomar_cli" and len(parts) > 1 and parts[1] in RANKS:
                yield parts[1]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    inside = path.relative_to(ROOT).parts
    if len(inside) == 1:
        return
    room = inside[0]
    assert room in RANKS, f"{room}: give the new room a rank here"
    for other in set(imported(path)) - {room}:
        lower = RANKS[other] < RANKS[room]
        assert lower or (room, other) in ALLOWED, f"{room} may not import {other}"


def loaded_by(code):
    """Names of the packages that ``code`` loads, and of the modules right below them."""
    script = f"import sys\n{code}\nprint(*{{'.'.join(m.split('.')[:2]) for m in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split("\n")[-2].split())


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["score", "--help"],
        ["score", "sample_data/digits-round.h5", "-q", "--method", "lomar"],
        ["explain", "sample_data/digits-round.h5", "cb83caed", "--method", "lomar"],
        ["info", "sample_data/digits-round.h5"],
        ["validate", "sample_data/digits-split.h5"],
        ["list"],
    ],
    ids=" ".join,
)
def test_scoring_starts_light(words, monkeypatch):
    monkeypatch.chdir(ROOT.parent)
    run = f"from lomar_cli.cli.app import app\napp(args={words!r}, standalone_mode=False)"
    assert loaded_by(run).isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "words",
    [
        ["score", "sample_data/digits-round.h5", "-q"],
        ["explain", "sample_data/digits-round.h5", "cb83caed"],
    ],
    ids=" ".join,
)
def test_the_default_loads_no_more_than_it_needs(words, monkeypatch):
    """It groups copies and looks up tails of distributions by SciPy, of which stats is slow."""
    monkeypatch.chdir(ROOT.parent)
    run = f"from lomar_cli.cli.app import app\napp(args={words!r}, standalone_mode=False)"
    loaded = loaded_by(run)
    assert "scipy.special" in loaded
    assert loaded.isdisjoint({*HEAVY, "scipy.stats", "scipy.optimize"} - {"scipy"})


def test_help_loads_not_even_numpy():
    run = "from lomar_cli.cli.app import app\napp(args=['--help'], standalone_mode=False)"
    assert "numpy" not in loaded_by(run)


def test_only_learning_and_torch_files_import_torch():
    for path in modules():
        where = path.relative_to(ROOT)
        if where.parts[0] == "learning" or str(where) == "files/importers/pt.py":
            continue
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "torch" for name in names), path
