"""The commands of ``docs/watch.md`` and of the README's section run, and say what is printed."""

from __future__ import annotations

import json
import re

import pytest

from tests.test_readme import ROOT, place, run, section

PAGE = (ROOT / "docs" / "watch.md").read_text()

__all__ = ["place"]


@pytest.mark.parametrize("where", ["page", "README"])
def test_the_commands(where, place):
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE, re.M | re.S)
    script = "\n".join(blocks) if where == "page" else section("Beside a running server")
    done = run(script, place)
    assert done.returncode == 0, done.stderr
    verdict = json.loads((place / "verdicts" / "000001" / "verdict.json").read_text())
    assert verdict["flagged"] == ["site-10", "site-12", "site-18", "site-21", "site-23"]
    assert (place / "verdicts" / "000001" / "model.npz").is_file()
    said = "5 of 30 clients flagged by lomar-auto (site-10, site-12, site-18 and 2 more)"
    assert said in done.stderr
    assert said in PAGE
    for line in re.findall(r"^2026-\S+ \S+ (.*)$", PAGE, re.M):
        shown = re.sub(r"\d+ s after", "N s after", line)
        assert shown in re.sub(r"\d+ s after", "N s after", done.stderr)


def test_what_the_page_says_of_files(place):
    """Every file that the table names is there."""
    run("\n".join(re.findall(r"^```bash\n(.*?)^```", PAGE, re.M | re.S)), place)
    for row in re.findall(r"^\| (`.*?) \|", PAGE, re.M):
        names = re.findall(r"`([^`]+)`", row)
        folder = names[0].rpartition("/")[0]
        for name in names:
            path = place / (name if "/" in name else f"{folder}/{name}")
            assert path.exists() or "aside" in name, name
    keys = json.loads((place / "verdicts" / "metrics.jsonl").read_text())
    for key in (*keys, *keys["seconds"]):
        assert re.search(rf"\b{key}\b", PAGE), key
