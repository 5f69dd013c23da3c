"""How long a sweep will take and how much disk it needs, by trying a little of it.

For every combination of data and training a few clients are trained for a few steps, with the
stages that a cell uses; what a round costs follows from that. Scoring and aggregation are taken
at a few matrix products of all pairs of clients. It is an estimate: expect a factor of two.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.data import registry
from lomar_cli.data.partition import SCHEMES
from lomar_cli.experiments.cell import CellRun
from lomar_cli.experiments.plan import Cell
from lomar_cli.experiments.schema import LOADER, training_of
from lomar_cli.files.round import open_round
from lomar_cli.files.split import read_split
from lomar_cli.stages.elsewhere import Place

# One round of a cell beside training, on top of the products: reading, writing and syncing.
_OVERHEAD = 0.15
# A scoring method's time in products of all pairs of clients; most take 3 to 10.
_PRODUCTS = 6
_PROBED_CLIENTS = 4
_PROBED_STEPS = (1, 4)


@dataclass(frozen=True)
class Estimate:
    """``seconds`` of computing on one core by setting, and the most ``bytes`` on disk at a time."""

    seconds: dict[str, float]
    bytes: int


@dataclass(frozen=True)
class _Pace:
    """What one round of a setting costs, and the parameters of its model."""

    client: float
    step: float
    parameters: int
    examples: int
    product: float


def estimate(cells: Sequence[Cell], data_dir: Path | None, keep: str, jobs: int) -> Estimate:
    """Try each combination of data and training for a moment and add up what the cells need."""
    paces: dict[str, _Pace] = {}
    seconds: dict[str, float] = {}
    sizes = []
    for cell in cells:
        about = registry.entry(cell.data["name"])
        clients = int(cell.data.get("clients", about.clients))
        key = json.dumps([_same(cell.data), cell.training], sort_keys=True)
        if key not in paces:
            paces[key] = _probe(cell, data_dir)
        pace = paces[key]
        everybody = clients + _added(cell, clients)
        steps = _steps(cell, pace.examples)
        training = everybody * (pace.client + steps * pace.step)
        products = _PRODUCTS * pace.product * everybody**2 * pace.parameters
        spent = cell.rounds * (training + products + _OVERHEAD)
        seconds[cell.setting] = seconds.get(cell.setting, 0.0) + spent
        made = everybody * pace.parameters * 4
        kept = 2 + int(cell.defense.get("history", 0))
        sizes.append(made * (cell.rounds if keep == "all" else min(kept, cell.rounds + 1)))
    at_once = sorted(sizes, reverse=True)[: max(1, jobs)]
    return Estimate(seconds, sum(sizes) if keep != "none" else sum(at_once))


def _same(data: dict[str, Any]) -> dict[str, Any]:
    """Data without what does not change the pace."""
    left = ("imbalance",) if "samples_per_client" not in data else ("clients", "imbalance")
    return {key: value for key, value in data.items() if key not in left}


def _added(cell: Cell, clients: int) -> int:
    told = str(cell.attack.get("malicious", "0"))
    share = told.endswith("%")
    return round(float(told[:-1]) / 100 * clients) if share else int(told)


def _steps(cell: Cell, examples: int) -> int:
    training = training_of(cell.training)
    per_epoch = -(-examples // training.batch_size)
    return training.local_steps or training.epochs * per_epoch


def _probe(cell: Cell, data_dir: Path | None) -> _Pace:
    """Train a few clients for a few steps: the times of a client and of a step."""
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for steps in (*_PROBED_STEPS[:1], *_PROBED_STEPS):
            data = {**cell.data, "clients": _PROBED_CLIENTS}
            if SCHEMES[data.get("scheme", "paper")].grouped:
                # Groups differ in size: a client of an even share stands for them.
                data["scheme"] = "iid"
            if "samples_per_client" not in data and registry.entry(data["name"]).samples is None:
                # An even share of the data, as the cell would give it.
                named = data.get("file")
                given = {key: data[key] for key in LOADER if key in data}
                loaded = registry.load(
                    data["name"], data_dir, Path(named) if named is not None else None, given
                )
                size = len(loaded.y_train)
                clients = cell.data.get("clients", registry.entry(data["name"]).clients)
                data["samples_per_client"] = max(1, size // clients)
            tried = Cell(
                cell.setting,
                data,
                {"name": "none"},
                {**cell.training, "local_steps": steps},
                {"name": "probe"},
                1,
                2,
                0,
            )
            run = CellRun(tried, Path(folder) / str(len(times)), Place(data_dir), "all")
            times.append(run.time_training())
        made = run.folder / "round-0001.h5"
        with open_round(made) as found:
            parameters = found.updates.size
        examples = len(read_split(run.folder / "clean.h5").samples[0])
    # The first try pays for imports.
    few, many = times[1:]
    step = max(0.0, many - few) / (_PROBED_STEPS[1] - _PROBED_STEPS[0]) / _PROBED_CLIENTS
    client = max(0.0, few / _PROBED_CLIENTS - _PROBED_STEPS[0] * step)
    return _Pace(client, step, parameters, examples, _product())


def _product() -> float:
    """Seconds of a pair of clients and a parameter in a matrix product, float32."""
    block = np.ones((500, 2000), np.float32)
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        block @ block.T
        best = min(best, time.perf_counter() - began)
    return best / (500 * 500 * 2000)
