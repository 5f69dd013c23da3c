"""Time and peak memory of every method and rule, and of all methods at once.

    python benchmarks/methods.py [--clients 100,1100,5000] [--limit SECONDS] [--only NAME,...]

Each one judges or aggregates the same round (clients x 7,850, ten labels, float32, from a file) in
a process of its own, on one thread. Time is CPU time, from the opened round to the result, without
starting Python and importing libraries; beside it the ratio to the bare Gram product of the same
matrix, timed in the same process afterwards, so that it holds on a noisy machine. Memory is the
peak of the whole process. What takes longer than the limit (CPU time) is named instead.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from lomar_cli.aggregation.base import combine
from lomar_cli.aggregation.pre import PRES
from lomar_cli.aggregation.registry import RULES
from lomar_cli.errors import UsageError
from lomar_cli.files.round import RoundHead, create_round, open_round
from lomar_cli.files.updates import OutputLayer, Updates
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.judge import Screened, prepare
from lomar_cli.scoring.registry import METHODS

LABELS, FEATURES = 10, 784
HISTORY, ROOT = 3, 10
HELD_OUT = 200
MEMORY = 2**31
OVER = 75
# Imported before the clock runs, so that methods are compared and not libraries.
LIBRARIES = (
    "scipy.linalg",
    "scipy.sparse.linalg",
    "scipy.special",
    "scipy.stats",
    "sklearn.cluster",
    "sklearn.covariance",
    "sklearn.ensemble",
    "sklearn.neighbors",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", default="100,1100,5000")
    parser.add_argument("--limit", type=float, default=300.0, help="CPU seconds each")
    parser.add_argument("--only", default="", help="these names only")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        folder, kind, name = given.child
        print(json.dumps(measure(folder, kind, name, given.limit)))
        return
    sizes = [int(text) for text in given.clients.split(",")]
    wanted = [name for name in given.only.split(",") if name]
    with tempfile.TemporaryDirectory() as rounds:
        for clients in sizes:
            write_rounds(Path(rounds) / str(clients), clients)
        print("| | " + " | ".join(f"{n:,}: CPU s | x Gram | peak GB" for n in sizes) + " |")
        print("|---" * (1 + 3 * len(sizes)) + "|")
        for kind, name in jobs():
            if wanted and name not in wanted:
                continue
            row = [f"{kind} {name}"]
            for clients in sizes:
                row += cells(Path(rounds) / str(clients), kind, name, given.limit)
            print("| " + " | ".join(row) + " |", flush=True)


def jobs() -> list[tuple[str, str]]:
    methods = [("method", name) for name in [*METHODS.table, "all"]]
    rules = [("rule", name) for name in RULES.table]
    return [*methods, *rules, *(("pre", name) for name in PRES.table)]


def cells(folder: Path, kind: str, name: str, limit: float) -> list[str]:
    command = [sys.executable, __file__, "--limit", str(limit), "--child", str(folder), kind, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == OVER:
        return [f"over {limit:.0f} s", "", ""]
    if done.returncode:
        return [done.stderr.strip().splitlines()[-1], "", ""]
    found = json.loads(done.stdout)
    if "reason" in found:
        return [found["reason"], "", ""]
    return [f"{found['seconds']:.2f}", f"{found['ratio']:.1f}", f"{found['peak']:.2f}"]


def measure(folder: str, kind: str, name: str, limit: float) -> dict[str, Any]:
    """Run one of them in this process; seconds, ratio to the Gram product, peak in GB."""
    import importlib

    for library in LIBRARIES:
        importlib.import_module(library)
    here = Path(folder)
    # Libraries must be there for their threads to be held back.
    with threadpool_limits(1), open_round(here / "round.h5", MEMORY) as found:
        beside: dict[str, Any] = {"loss": held_out_loss()}
        with contextlib.ExitStack() as stack:
            if name in ("fldetector", "all"):
                paths = [here / f"history{number}.h5" for number in range(HISTORY)]
                rounds = [stack.enter_context(open_round(path, MEMORY)) for path in paths]
                beside["history"] = [each.updates for each in rounds]
            root = stack.enter_context(open_round(here / "root.h5", MEMORY))
            beside["root"] = root.updates
            return clocked(kind, name, found.updates, beside, limit)


def clocked(
    kind: str, name: str, updates: Updates, beside: dict[str, Any], limit: float
) -> dict[str, Any]:
    work = task(kind, name, updates, beside)
    begin = time.process_time()
    threading.Thread(target=stop_after, args=(begin + limit,), daemon=True).start()
    try:
        work()
    except UsageError as error:
        return {"reason": str(error)}
    seconds = time.process_time() - begin
    peak = high_water()
    return {"seconds": seconds, "ratio": seconds / gram_seconds(updates), "peak": peak}


def stop_after(cpu_seconds: float) -> None:
    """End this process when it has had so much CPU time."""
    while time.process_time() < cpu_seconds:
        time.sleep(0.2)
    os._exit(OVER)


def task(kind: str, name: str, updates: Updates, beside: dict[str, Any]) -> Callable[[], object]:
    if kind == "method":
        names = list(METHODS.table) if name == "all" else [name]
        return lambda: judge_all(prepare(updates, memory=MEMORY, **beside), names)
    view = RoundView(updates, Geometry(updates, MEMORY), **beside)
    weights = np.ones(len(updates.clients))
    if kind == "rule":
        return lambda: RULES.make(name, {})(view, weights)

    def mixed() -> object:
        mix = PRES.make(name, {})(view, weights)
        names = [str(number) for number in range(len(mix.matrix))]
        return combine(updates.mix(mix.matrix, names), mix.weights)

    return mixed


def judge_all(screened: Screened, names: list[str]) -> None:
    for name in names:
        try:
            screened.judge(METHODS.make(name, {}))
        except UsageError:
            if len(names) == 1:
                raise


def held_out_loss() -> Callable[[Any], float]:
    """Softmax regression's loss on random samples, as ``--holdout`` gives it."""
    from lomar_cli.data.dataset import Dataset
    from lomar_cli.learning.loss import loss_on

    rng = np.random.default_rng(1)
    x = rng.random((HELD_OUT, FEATURES), np.float32)
    y = rng.integers(0, LABELS, HELD_OUT)
    data = Dataset("made", x, y, x[:1], y[:1], [str(label) for label in range(LABELS)])
    loss = loss_on("logistic", data, np.arange(HELD_OUT), y)
    zero = {"fc.weight": np.zeros((LABELS, FEATURES)), "fc.bias": np.zeros(LABELS)}
    return lambda step: loss({**zero, **step})


def gram_seconds(updates: Updates) -> float:
    flat = np.concatenate(
        [np.asarray(t[:]).reshape(t.shape[0], -1) for t in updates.tensors.values()], axis=1
    )
    taken = []
    for _ in range(3):
        begin = time.process_time()
        flat @ flat.T
        taken.append(time.process_time() - begin)
    return min(taken)


def high_water() -> float:
    """The most memory that this process has had, in GB (of 1e9 bytes)."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def write_rounds(folder: Path, clients: int) -> None:
    """The round to judge, earlier ones, and a trusted one: a common step, noise, a few attackers.

    A tenth of the clients are moved on two labels, alike, as label flippers are.
    """
    folder.mkdir()
    rng = np.random.default_rng(0)
    step = 0.01 * rng.standard_normal((LABELS, FEATURES + 1), np.float32)
    flip = np.zeros((LABELS, FEATURES + 1), np.float32)
    flip[[1, 7]] = 0.02 * rng.standard_normal((2, FEATURES + 1), np.float32)
    names = [f"history{number}" for number in range(HISTORY)]
    for number, name in enumerate([*names, "round", "root"], 1):
        count = ROOT if name == "root" else clients
        values = step + 0.01 * rng.standard_normal((count, LABELS, FEATURES + 1), np.float32)
        if name != "root":
            values[: clients // 10] += flip
        tensors = {"fc.weight": values[..., :-1], "fc.bias": values[..., -1]}
        head = RoundHead(
            clients=[f"c{i}" for i in range(count)],
            num_examples=np.full(count, 600, np.int64),
            shapes={key: array.shape[1:] for key, array in tensors.items()},
            dtypes={key: array.dtype for key, array in tensors.items()},
            output=OutputLayer("fc.weight", "fc.bias"),
            labels=[],
            round_number=number,
            base_sha256="",
        )
        with create_round(folder / f"{name}.h5", head, []) as writer:
            writer.write(0, tensors)


if __name__ == "__main__":
    main()
