"""Run all cells of a plan: in parallel, going on after failures and after a kill."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lomar_cli._version import __version__
from lomar_cli.engine.base import Engine
from lomar_cli.engine.checks import check_folder
from lomar_cli.engine.leash import go_on
from lomar_cli.errors import InputError, LomarError, NotApplicableError, UsageError
from lomar_cli.experiments.cell import CellRun
from lomar_cli.experiments.plan import Cell, Plan
from lomar_cli.experiments.schema import LOADER
from lomar_cli.experiments.watch import watched
from lomar_cli.files.atomic import atomic_bytes
from lomar_cli.files.lock import locked
from lomar_cli.files.text import printable
from lomar_cli.files.truth import read_json
from lomar_cli.stages.elsewhere import Place, check_data, place_for

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
    """True when the cell's result is there, whole, and need not be made again.

    What did not apply is tried again by another version, which may know how.
    """
    found = whole_result(result_path(results, cell))
    if found is None or found.get("cell") != cell.described:
        return False
    status = found.get("status")
    return status == "done" or (status == "not applicable" and found["version"] == __version__)


def refused(results: Path, cells: Iterable[Cell]) -> list[Outcome]:
    """Those of the cells that an earlier run found not to apply, which are not run again."""
    found = ((cell, whole_result(result_path(results, cell))) for cell in cells)
    return [
        Outcome(cell, result["status"], str(result.get("reason", "")))
        for cell, result in found
        if result is not None and result.get("status") == "not applicable"
    ]


def whole_result(path: Path) -> dict[str, Any] | None:
    """A cell's result as it was written; None when it is absent, damaged or changed."""
    try:
        found = read_json(path)
    except InputError:
        return None
    return found if found.get("checksum") == checksum(found) else None


def checksum(result: dict[str, Any]) -> str:
    """SHA-256 over what a result says, so that one that was changed or damaged is found."""
    kept = {key: value for key, value in result.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def prepare(plan: Plan, results: Path, force: bool) -> list[Cell]:
    """Make the results folder and return the cells that are still to do."""
    described, shown = results / "experiment.json", printable(str(results))
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
    if results.exists() and not results.is_dir():
        raise UsageError(f"{shown}: is a file; name a folder for -o")
    if results.exists() and not force:
        found = _described(described)
        if found is not None and found != json.loads(json.dumps(document)):
            raise UsageError(
                f"{shown}: holds results of another experiment; name another folder, or -f to "
                "keep those of its cells that still fit"
            )
        if found is None and not _ours(results):
            raise UsageError(f"{shown}: is not empty and holds no experiment")
    results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    atomic_bytes(described, text.encode(), force=True)
    (results / "cells").mkdir(exist_ok=True)
    return [cell for cell in plan.cells if not is_done(results, cell)]


def _described(path: Path) -> dict[str, Any] | None:
    """The experiment that a folder holds; None when nothing (or nothing whole) says so."""
    try:
        return read_json(path) if path.exists() else None
    except InputError:
        return None


def _ours(results: Path) -> bool:
    """True for an empty folder, and for what a run that was killed early leaves behind."""
    return all(
        entry.name in ("cells", "work")
        or entry.name.startswith((".experiment.json", "experiment."))
        for entry in results.iterdir()
    )


def run_cells(
    cells: list[Cell],
    results: Path,
    data_dir: Path | None,
    keep: str,
    engine: Engine,
    advance: Callable[[int], None] = lambda rounds: None,
) -> Iterator[Outcome]:
    """Run the cells on ``engine``; yield each as it ends, in any order.

    The order changes nothing: every cell has files of its own. Workers elsewhere must see
    ``results`` and have the data sets, which is checked first (LomarError).
    """
    place = place_for(engine, data_dir)
    if engine.remote:
        results = results.absolute()
        _check(cells, results, place, engine)
    work = ((cell, results, place, keep) for cell in cells)
    with watched(cells, results, advance) as ended:
        # A cluster that can grow has to see how much there is to do.
        for outcome in engine.unordered(_called, work, killed=_killed, ahead=len(cells)):
            ended(outcome.cell)
            yield outcome


def _check(cells: list[Cell], results: Path, place: Place, engine: Engine) -> None:
    """Every worker must see the results folder and each data set that the cells use."""
    check_folder(engine, results)
    seen = []
    for cell in cells:
        data = cell.data
        one = (data["name"], data.get("file"), {key: data[key] for key in LOADER if key in data})
        if one not in seen:
            seen.append(one)
            check_data(engine, place, *one)


def _called(cell: Cell, results: Path, place: Place, keep: str) -> Outcome:
    """A cell as a call of the engine's, which ends when nobody waits for it any more."""
    return run_cell(cell, results, place, keep, lambda rounds: go_on())


def _killed(cell: Cell, results: Path, place: Place, keep: str) -> Outcome:
    """A cell whose process dies whenever it is tried, even alone."""
    why = "its process was killed; was there too little memory?"
    return write_result(results, cell, "failed", why, [], 0.0)


def run_cell(
    cell: Cell,
    results: Path,
    place: Place,
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
            lock.unlink(missing_ok=True)
            return _outcome(results, cell)
        began = time.perf_counter()
        run = CellRun(cell, folder, place, keep)
        status, reason, rows = _rows(run, advance)
        if status == "failed" and run.resumed and run.damaged:
            # What a killed run left is damaged: begin anew, once.
            shutil.rmtree(folder)
            status, reason, rows = _rows(CellRun(cell, folder, place, keep), advance)
        outcome = write_result(results, cell, status, reason, rows, time.perf_counter() - began)
        if keep == "none" and status != "failed":
            shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
        return outcome


def write_result(
    results: Path,
    cell: Cell,
    status: str,
    reason: str,
    rows: list[dict[str, Any]],
    seconds: float,
) -> Outcome:
    """Write how a cell ended, and apart from it how long it took."""
    result = {
        "result_version": RESULT_VERSION,
        "version": __version__,
        "cell": cell.described,
        "status": status,
        "reason": reason,
        "rows": rows,
    }
    result["checksum"] = checksum(result)
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    atomic_bytes(result_path(results, cell), text.encode(), force=True)
    # Apart from the result, which is the same however long it took and on whichever machine.
    timing = json.dumps({"seconds": round(seconds, 2)}).encode()
    atomic_bytes(result_path(results, cell).with_suffix(".time"), timing, force=True)
    return Outcome(cell, status, reason, seconds)


def _rows(run: CellRun, advance: Callable[[int], None]) -> tuple[str, str, list[dict[str, Any]]]:
    """How a cell ended, why, and its rows."""
    try:
        return "done", "", run(advance)
    except NotApplicableError as error:
        # Too few clients for this rule, no history: a fact about the setting, never a zero.
        return "not applicable", str(error), []
    except LomarError as error:
        run.damaged = isinstance(error, InputError)
        return "failed", str(error), []
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return "failed", f"{type(error).__name__}: {printable(str(error))} ({where})", []


def _outcome(results: Path, cell: Cell) -> Outcome:
    found = read_json(result_path(results, cell))
    return Outcome(cell, str(found["status"]), str(found["reason"]))
