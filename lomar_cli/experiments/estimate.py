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
# Clients and steps of one trial after another, until the steps take long enough to be told from
# the writing of files: a small model's do after hundreds, a large one's at once.
_TRIALS = ((4, 4), (16, 32), (16, 512))
_LONG = 0.25


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
    about = registry.entry(cell.data["name"])
    most = int(cell.data.get("clients", about.clients))
    data = _even(cell, data_dir, most)
    with tempfile.TemporaryDirectory() as folder:
        trial = _Trial(cell, data, data_dir, Path(folder))
        # The first try pays for imports and for reading the data.
        trial.seconds(1, 1)
        examples, parameters = trial.sizes()
        whole = _steps(cell, examples)
        for clients, steps in _TRIALS:
            clients, steps = min(clients, most), max(2, min(steps, whole))
            one, few = trial.seconds(1, 1), trial.seconds(clients, 1)
            many = trial.seconds(clients, steps)
            if many - few > _LONG:
                break
    step = max(0.0, many - few) / (steps - 1) / clients
    # What a round costs whatever its clients are is counted beside training.
    client = max(0.0, few - one) / max(1, clients - 1) - step
    return _Pace(max(0.0, client), step, parameters, examples, _product())


def _even(cell: Cell, data_dir: Path | None, clients: int) -> dict[str, Any]:
    """The cell's data with as many samples a client as an even share is."""
    data = dict(cell.data)
    if SCHEMES[data.get("scheme", "paper")].grouped:
        # Groups differ in size: a client of an even share stands for them.
        data["scheme"] = "iid"
    if "samples_per_client" not in data and registry.entry(data["name"]).samples is None:
        named = data.get("file")
        given = {key: data[key] for key in LOADER if key in data}
        path = Path(named) if named is not None else None
        loaded = registry.load(data["name"], data_dir, path, given)
        data["samples_per_client"] = max(1, len(loaded.y_train) // clients)
    return data


@dataclass
class _Trial:
    """Rounds of one training, without an attack, that were run to be timed."""

    cell: Cell
    data: dict[str, Any]
    data_dir: Path | None
    folder: Path
    count: int = 0

    def seconds(self, clients: int, steps: int) -> float:
        """Train that many clients for that many steps."""
        self.count += 1
        training = {**self.cell.training, "local_steps": steps}
        data = {**self.data, "clients": clients}
        one = ({"name": "none"}, training, {"name": "probe"}, 1, 2, 0)
        run = CellRun(
            Cell(self.cell.setting, data, *one), self._made(), Place(self.data_dir), "all"
        )
        return run.time_training()

    def sizes(self) -> tuple[int, int]:
        """A client's samples and the parameters of the model, of the last round that was run."""
        with open_round(self._made() / "round-0001.h5") as found:
            parameters = found.updates.size
        return len(read_split(self._made() / "clean.h5").samples[0]), parameters

    def _made(self) -> Path:
        return self.folder / str(self.count)


def _product() -> float:
    """Seconds of a pair of clients and a parameter in a matrix product, float32."""
    block = np.ones((500, 2000), np.float32)
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        block @ block.T
        best = min(best, time.perf_counter() - began)
    return best / (500 * 500 * 2000)
