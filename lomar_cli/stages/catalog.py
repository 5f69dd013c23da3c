"""What this program knows by name."""

from __future__ import annotations

from typing import Any

from lomar_cli.aggregation.pre import PRES
from lomar_cli.aggregation.registry import RULES
from lomar_cli.attacks.registry import ATTACKS
from lomar_cli.data.partition import SCHEMES
from lomar_cli.data.registry import DATASETS
from lomar_cli.learning.registry import MODELS
from lomar_cli.scoring.registry import METHODS


def options_of() -> dict[str, dict[str, dict[str, Any]]]:
    """What ``--set`` may say to each method, rule and pre-aggregation, with the defaults."""
    kinds = {"methods": METHODS, "rules": RULES, "pre": PRES}
    return {
        kind: {name: registry.options(name) for name in registry.names()}
        for kind, registry in kinds.items()
    }


def catalog() -> dict[str, dict[str, str]]:
    """Names and one line about each, by kind."""
    return {
        "methods": {name: METHODS.about(name) for name in METHODS.names()},
        "rules": {name: RULES.about(name) for name in RULES.names()},
        "pre": {name: PRES.about(name) for name in PRES.names()},
        "attacks": {name: entry.about for name, entry in ATTACKS.items()},
        "datasets": {name: entry.about for name, entry in DATASETS.items()},
        "schemes": {name: entry.about for name, entry in SCHEMES.items()},
        "models": {name: entry.about for name, entry in MODELS.items()},
    }
