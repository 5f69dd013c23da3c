"""Results folders as ``lomar run`` writes them, of rows made up here; nothing is trained."""

from __future__ import annotations

from lomar_cli.experiments import sweep
from lomar_cli.experiments.plan import make_plan

DEFENSES = (
    {"name": "LoMar", "method": "lomar"},
    {"name": "Krum", "rule": "multi-krum", "assume_malicious": "true"},
    {"name": "No defense"},
    {"name": "No attack", "clean": True},
)
PURE = {"name": "label-flip", "style": "pure"}
FLIP = {"flip": ["1:7"], "malicious": "10%"}


def setting(name, attack=None, **data):
    return {
        "name": name,
        "data": {"name": "digits", "clients": 10, **data},
        # Only a flip has a style: whoever names other attacks names none.
        "attack": FLIP | ({} if "name" in (attack or {}) else PURE) | (attack or {}),
    }


def plan(settings, defenses=DEFENSES, seeds=(0, 1), **general):
    found = {"seeds": list(seeds), "setting": settings, "defense": list(defenses), **general}
    return make_plan(found, "made", False, "made")


def folder(path, plan, row, status=lambda cell: ("done", "")):
    """Write ``plan`` as run: ``row(cell)`` gives its last row, or all of them as a list."""
    sweep.prepare(plan, path, force=False)
    for cell in plan.cells:
        state, reason = status(cell)
        rows = row(cell) if state == "done" else []
        rows = rows if isinstance(rows, list) else [{"round": cell.rounds, **rows}]
        sweep.write_result(path, cell, state, reason, rows, 1.5)
    return path


def accuracies(cell):
    """Numbers that tell every cell from every other, all in [0, 1]."""
    base = 0.5 + 0.1 * cell.seed + 0.3 * (cell.defense["name"] == "LoMar")
    return {"overall": base, "source": base / 2, "target": base / 4, "other": base / 5}
