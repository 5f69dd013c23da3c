"""Run all cells of a plan: in parallel, going on after failures and after a kill."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lomar_cli._version import __version__
from lomar_cli.errors import InputError, LomarError, UsageError
from lomar_cli.experiments.cell import CellRun
from lomar_cli.experiments.plan import Cell, Plan
from lomar_cli.experiments.watch import watched
from lomar_cli.files.atomic import atomic_bytes
from lomar_cli.files.lock import locked
from lomar_cli.files.text import printable
from lomar_cli.files.truth import read_json

RESULT_VERSION = 1


@dataclass(frozen=True)
class Outcome:
    """How a cell ended: ``done``, ``not applicable`` (with the reason) or ``failed``."""

    cell: Cell
    status: str
    reason: str = ""
    seconds: float = 0.0


def result_path(results: Path, cell: Cell) -> Path:
    return results / "cells" / f"{cell.key}.json"


def is_done(results: Path, cell: Cell) -> bool:
    """True when the cell's result is there, whole, and says ``done`` or ``not applicable``."""
    path = result_path(results, cell)
    if not path.exists():
        return False
    try:
        found = read_json(path)
    except InputError:
        return False
    return found.get("cell") == cell.described and found.get("status") in ("done", "not applicable")


def prepare(plan: Plan, results: Path, force: bool) -> list[Cell]:
    """Make the results folder and return the cells that are still to do."""
    described = results / "experiment.json"
    document = {
        "result_version": RESULT_VERSION,
        "name": plan.name,
        "title": plan.title,
        "about": plan.about,
        "layout": plan.layout,
        "quick": plan.quick,
        "document": plan.document,
        "cells": [cell.key for cell in plan.cells],
    }
    if described.exists() and not force:
        if read_json(described) != json.loads(json.dumps(document)):
            raise UsageError(
                f"{printable(str(results))}: holds results of another experiment; name another "
                "folder, or -f to keep those of its cells that still fit"
            )
    elif results.exists() and not described.exists() and any(results.iterdir()) and not force:
        raise UsageError(f"{printable(str(results))}: is not empty and holds no experiment")
    (results / "cells").mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    atomic_bytes(described, text.encode(), force=True)
    return [cell for cell in plan.cells if not is_done(results, cell)]


def run_cells(
    cells: list[Cell],
    results: Path,
    data_dir: Path | None,
    keep: str,
    jobs: int,
    advance: Callable[[int], None] = lambda rounds: None,
) -> Iterator[Outcome]:
    """Run the cells, ``jobs`` at a time; yield each as it ends, in any order."""
    if jobs == 1:
        for cell in cells:
            yield run_cell(cell, results, data_dir, keep, advance)
        return
    from joblib import Parallel, delayed

    work = (delayed(_in_worker)(cell, results, data_dir, keep, os.getpid()) for cell in cells)
    with watched(cells, results, advance) as ended:
        for outcome in Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(work):
            ended(outcome.cell)
            yield outcome


def _in_worker(cell: Cell, results: Path, data_dir: Path | None, keep: str, parent: int) -> Outcome:
    """A cell in a process of its own, which ends with the process that asked for it."""

    def advance(rounds: int) -> None:
        if os.getppid() != parent:
            raise SystemExit(1)

    return run_cell(cell, results, data_dir, keep, advance)


def run_cell(
    cell: Cell,
    results: Path,
    data_dir: Path | None,
    keep: str,
    advance: Callable[[int], None] = lambda rounds: None,
) -> Outcome:
    """Run one cell and write its result; a failure is written down, not raised.

    Waits while another process is at the same cell, and takes over what it did.
    """
    folder = results / "work" / cell.key
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_suffix(".lock")
    with locked(lock):
        if is_done(results, cell):
            return _outcome(results, cell)
        began = time.perf_counter()
        status, reason, rows = _rows(CellRun(cell, folder, data_dir, keep), advance)
        result = {
            "result_version": RESULT_VERSION,
            "version": __version__,
            "cell": cell.described,
            "status": status,
            "reason": reason,
            "rows": rows,
        }
        text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
        atomic_bytes(result_path(results, cell), text.encode(), force=True)
        seconds = time.perf_counter() - began
        # Apart from the result, which is the same however long it took and on whichever machine.
        timing = json.dumps({"seconds": round(seconds, 2)}).encode()
        atomic_bytes(result_path(results, cell).with_suffix(".time"), timing, force=True)
        lock.unlink(missing_ok=True)
        return Outcome(cell, status, reason, seconds)


def _rows(run: CellRun, advance: Callable[[int], None]) -> tuple[str, str, list[dict[str, Any]]]:
    """How a cell ended, why, and its rows."""
    try:
        return "done", "", run(advance)
    except UsageError as error:
        # Too few clients for this rule, no history: a fact about the setting, never a zero.
        return "not applicable", str(error), []
    except LomarError as error:
        return "failed", str(error), []
    except Exception:
        return "failed", traceback.format_exc().strip().splitlines()[-1], []


def _outcome(results: Path, cell: Cell) -> Outcome:
    found = read_json(result_path(results, cell))
    return Outcome(cell, str(found["status"]), str(found["reason"]))
