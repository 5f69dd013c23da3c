"""The example of docs/extend.md, as a package of its own would bring it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_page_s_example_is_found_and_runs(tmp_path):
    page = (ROOT / "docs" / "extend.md").read_text()
    code = re.search(r"```python\n(.*?)```", page, re.S).group(1)
    points = re.search(r"```toml\n(.*?)```", page, re.S).group(1)
    (tmp_path / "longest.py").write_text(code)
    # An installed package is a folder with metadata beside its module.
    info = tmp_path / "longest-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: longest\nVersion: 1.0\n")
    found = re.search(r"(\w+) = \"(.*?)\"", points)
    (info / "entry_points.txt").write_text(f"[lomar.methods]\n{found[1]} = {found[2]}\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}

    def lomar(*words):
        command = [sys.executable, "-m", "lomar_cli", *words]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=ROOT, check=True
        )
        return json.loads(done.stdout)

    assert "longest" in lomar("list", "methods", "--json")["methods"]
    scored = lomar(
        *("score", "sample_data/digits-round.h5", "--method", "longest"),
        *("--set", "factor=1.2", "--json"),
    )
    assert scored["method"] == "longest"
    assert {client["reason"] for client in scored["clients"]} == {"usual", "long"}


def test_packages_that_break_take_no_other_method_along(tmp_path):
    """With --method all, and in a drill: the others judge, and of these it is said why not."""
    (tmp_path / "broken.py").write_text(
        "class Raises:\n"
        "    def __call__(self, view):\n        raise KeyError('mine')\n"
        "import dataclasses\n"
        "Raises = dataclasses.dataclass(frozen=True)(Raises)\n"
    )
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[lomar.methods]\nraises = broken:Raises\nabsent = nowhere:Method\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}

    def lomar(*words, code=0):
        command = [sys.executable, "-m", "lomar_cli", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
        assert done.returncode == code, done.stderr
        return done

    small = ROOT / "sample_data" / "digits-round.h5"
    done = lomar("score", small, "--method", "all", "--json")
    judged = {
        one["method"]: one.get("not_applicable") for one in json.loads(done.stdout)["methods"]
    }
    assert "KeyError" in judged["raises"] and "cannot be loaded" in judged["absent"]
    assert judged["lomar"] is None and judged["krum"] is None
    one = lomar("score", small, "--method", "absent", code=2)
    assert "cannot be loaded (ModuleNotFoundError" in one.stderr
    few = ("--attacks", "nan", "--shares", "10%", "--seeds", 1)
    lomar("drill", small, "-o", tmp_path / "out", "--methods", "krum,raises,absent", *few)
    page = (tmp_path / "out" / "drill.md").read_text()
    assert "KeyError" in page and "cannot be loaded" in page
