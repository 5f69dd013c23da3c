"""The command line is tested as if nobody had set anything in the environment."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in ("LOMAR_DATA_DIR", "FORCE_COLOR", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
