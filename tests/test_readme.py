"""Every command of the README runs, in order, and does what the text says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.real import needs

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def section(heading):
    """The bash blocks below a heading, as one script."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", README, re.M | re.S)
    assert found, f"README has no section '{heading}'"
    return "\n".join(re.findall(r"^```bash\n(.*?)^```", found.group(1), re.M | re.S))


@pytest.fixture
def place(tmp_path):
    """A folder that looks like the checkout to a README command, with `lomar` on the PATH."""
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "lomar").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lomar_cli "$@"\n')
    (tools / "lomar").chmod(0o755)
    if shutil.which("jq") is None:
        # Only what the README asks of jq, so that its commands run where jq is not installed.
        (tools / "jq").write_text(
            f'#!/bin/sh\nexec "{sys.executable}" -c "import json, sys; json.load(sys.stdin)"\n'
        )
        (tools / "jq").chmod(0o755)
    return tmp_path


def run(script, place):
    environment = {**os.environ, "PATH": f"{place / 'bin'}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_own_updates(place):
    script = "\n".join(
        line for line in section("Your own updates").splitlines() if line.startswith("lomar ")
    )
    done = run(script, place)
    assert done.returncode == 0, done.stderr
    said = "5 of 30 clients flagged by lomar-auto (suspicion above 1)"
    assert said in README
    assert said in done.stdout
    # The table of the README, row by row, however wide the terminal is.
    shown = " ".join(done.stdout.split())
    for client in ("site-12", "site-10"):
        row = re.search(rf"^({client} .*(?:\n +\S.*)+)$", README, re.M)
        assert row
        assert " ".join(row.group(1).split()) in shown


def test_why_this_client(place):
    pytest.importorskip("matplotlib", reason="figures need the extra 'plot'")
    made = "\n".join(
        line for line in section("Your own updates").splitlines() if line.startswith("lomar dump")
    )
    done = run(f"{made}\n{section('Why this client?')}", place)
    assert done.returncode == 0, done.stderr
    assert "labels that stand out" in done.stdout
    assert "views beyond their threshold: far" in done.stdout
    for name in ("site-23.png", "scores.png"):
        assert (place / name).read_bytes().startswith(b"\x89PNG")


def test_drill(place):
    made = "\n".join(
        line for line in section("Your own updates").splitlines() if line.startswith("lomar dump")
    )
    done = run(f"{made}\n{section('Would it have been caught?')}", place)
    assert done.returncode == 0, done.stderr
    assert "removed unprovoked" in done.stdout
    assert (place / "drill" / "drill.csv").is_file()


def test_pipeline_for_own_updates(place):
    script = section("A pipeline for your own updates")
    assert len(script.splitlines()) == 11
    done = run(script, place)
    assert done.returncode == 0, done.stderr
    assert "exit 10: somebody was flagged" in done.stdout
    for name in ("site-10", "site-12", "site-18", "site-21", "site-23"):
        assert name in done.stdout or shutil.which("jq") is None
    assert (place / "next.npz").is_file()


def test_pipeline_for_research(place):
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    script = section("A pipeline for research")
    assert len(script.splitlines()) == 10
    done = run(script, place)
    assert done.returncode == 0, done.stderr
    assert (place / "metrics1.json").is_file()


@needs("mnist")
def test_a_figure_of_the_paper(place):
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    pytest.importorskip("matplotlib", reason="figures need the extra 'plot'")
    done = run(section("The paper, and the field, in one command"), place)
    assert done.returncode == 0, done.stderr
    assert "2 cells to do: about" in done.stdout
    assert (place / "fig2-report" / "map.png").is_file()
    assert (place / "fig2-report" / "index.html").is_file()


def test_install_lines_are_the_ones_that_ci_runs():
    blocks = section("See it work")
    assert (
        "python3 -m venv .venv && .venv/bin/pip install -e '.[train]' && .venv/bin/lomar demo"
        in (blocks)
    )
    assert (
        "python3 -m venv .venv && .venv/bin/pip install -e '.[train,plot,dev]' && .venv/bin/pytest"
    ) in blocks


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), f"README links to {target}"
