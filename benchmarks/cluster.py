"""What a Dask cluster on loopback costs, against processes of this machine, in one run.

    python benchmarks/cluster.py [--workers 1,2,4] [--cells 24] [--turns 3]

For each number of workers, ``--cluster local:N`` against ``--jobs N``: the time of a call that does
nothing; the time of a sweep of small cells (8 clients of digits, 6 rounds), and of training 200
clients, with the bytes that go through the scheduler. Engines take turns, each is warmed up by one
turn that is not counted, and medians are shown. CPU seconds are those of this process, in which
Dask's scheduler is, and of the engine's own workers: where others use the machine, look at these.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pickle
import statistics
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import psutil

from lomar_cli.engine.base import Engine
from lomar_cli.engine.build import this_build
from lomar_cli.engine.opened import local_engine, open_engine
from lomar_cli.experiments import sweep
from lomar_cli.experiments.plan import make_plan
from lomar_cli.learning.registry import Training
from lomar_cli.stages.elsewhere import Place
from lomar_cli.stages.partition import partition
from lomar_cli.stages.train import train

CALLS = 500
SWEEP = """
rounds = 6
[data]
name = "digits"
clients = 8
samples_per_client = 30
[attack]
name = "label-flip"
flip = ["1:7"]
malicious = "2"
[training]
local_steps = 10
[[defense]]
name = "LoMar"
method = "lomar"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--cells", type=int, default=24)
    parser.add_argument("--turns", type=int, default=3)
    told = parser.parse_args()
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    text = f"seeds = {list(range(told.cells))}\n{SWEEP}"
    plan = make_plan(tomllib.loads(text), "benchmark", False, "benchmark")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        partition("digits", folder / "split.h5", 200, 100, "iid", {}, 0, None)
        for count in map(int, told.workers.split(",")):
            compare(count, plan.cells, folder, told.turns)
        sizes(plan.cells, folder)


def compare(count: int, cells: list, folder: Path, turns: int) -> None:
    """One number of workers: both engines by turns."""
    began = time.perf_counter()
    with contextlib.ExitStack() as stack:
        dask = stack.enter_context(open_engine(f"local:{count}"))
        print(f"{count} workers: started and checked in {time.perf_counter() - began:.1f} s")
        workers = {child.pid for child in psutil.Process().children(recursive=True)}
        engines = {"dask": dask, "jobs": local_engine(count)}
        tried: dict[str, Callable[[Engine], object]] = {
            "a call that does nothing": nothing,
            f"a cell of {len(cells)}": lambda engine: a_sweep(engine, cells, folder),
            "a client of 200 trained": lambda engine: trained(engine, count, folder),
        }
        each = {"a call that does nothing": CALLS, "a client of 200 trained": 200}
        for what, run in tried.items():
            clock: dict[str, list[float]] = {name: [] for name in engines}
            cpu: dict[str, list[float]] = {name: [] for name in engines}
            for turn in range(turns + 1):
                for name, engine in engines.items():
                    before, start = spent(workers, name == "dask"), time.perf_counter()
                    run(engine)
                    if turn:
                        clock[name].append(time.perf_counter() - start)
                        cpu[name].append(spent(workers, name == "dask") - before)
            number = each.get(what, len(cells))
            for unit, some in (("ms", clock), ("CPU ms", cpu)):
                dask_s, jobs_s = (statistics.median(some[name]) / number for name in engines)
                print(
                    f"  {what:26} dask {1e3 * dask_s:8.2f} {unit}, jobs {1e3 * jobs_s:8.2f} "
                    f"{unit}, ratio {dask_s / jobs_s:.2f}",
                    flush=True,
                )


def spent(workers: set[int], theirs: bool) -> float:
    """CPU seconds of this process, and of its children that are among ``workers`` or are not."""
    total = time.process_time()
    for child in psutil.Process().children(recursive=True):
        if (child.pid in workers) == theirs:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = child.cpu_times()
                total += times.user + times.system
    return total


def nothing(engine: Engine) -> None:
    for _ in engine.unordered(abs, ((number,) for number in range(CALLS)), ahead=CALLS):
        pass


def a_sweep(engine: Engine, cells: list, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        results = Path(name)
        (results / "cells").mkdir()
        ended = list(sweep.run_cells(cells, results, None, "none", engine))
        assert all(one.status == "done" for one in ended)


def trained(engine: Engine, count: int, folder: Path) -> None:
    made = Training(epochs=5, jobs=count)
    split, output = folder / "split.h5", folder / "round.h5"
    train(split, output, training=made, force=True, engine=engine)


def sizes(cells: list, folder: Path) -> None:
    """What goes over the network: a call and its answer."""
    call = (this_build(), sweep._called, cells[0], folder, Place(), "none")
    answer = sweep.Outcome(cells[0], "done", "", 1.0)
    there, back = len(pickle.dumps(call)), len(pickle.dumps(answer))
    print(f"bytes of a cell: {there} to its worker, {back} back; of a client trained: its update")


if __name__ == "__main__":
    main()
