"""Methods beside the bare Gram product and other libraries, in one run, on one thread and on two.

    python benchmarks/speed.py [--full] [--sizes 1100x7850,...] [--threads 1,2] [--only NAME,...]

Every one gets the same random float32 round in a process of its own, and each is timed in turn with
the Gram product in that process: the ratio of their CPU times, the median of a few turns, holds on
a busy machine. CPU seconds are of all threads; libraries and their compilation are loaded before.
With --full 5,000 clients and 100 clients of a million parameters are run too (minutes). What is not
installed shows its error. "distances" are squared distances, profile and median alone; the
"distance views" judge by these.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

SMALL, FULL = "100x7850,1100x7850", "100x7850,1100x7850,5000x7850,100x1000000"
LABELS = 10
Work = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--sizes")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--only", default="")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds a process")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        name, clients, size, threads = given.child
        print(json.dumps(measure(name, int(clients), int(size), int(threads), given.turns)))
        return
    wanted = [name for name in given.only.split(",") if name]
    for text in (given.sizes or (FULL if given.full else SMALL)).split(","):
        clients, size = text.split("x")
        heads = " | ".join(f"{t} threads: s | CPU s | x Gram" for t in given.threads.split(","))
        print(f"\n| {int(clients):,} x {int(size):,} | {heads} |")
        print("|---" * (1 + 3 * len(given.threads.split(","))) + "|")
        for name in [n for n in contenders() if not wanted or n in wanted]:
            cells = []
            for threads in given.threads.split(","):
                cells += row(name, clients, size, threads, given.turns, given.limit)
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def row(name: str, clients: str, size: str, threads: str, turns: int, limit: float) -> list[str]:
    variables = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    command = [sys.executable, __file__, "--turns", str(turns)]
    command += ["--child", name, clients, size, threads]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit,
            env={**os.environ, **dict.fromkeys(variables, threads)},
        )
    except subprocess.TimeoutExpired:
        return [f"over {limit:.0f} s", "", ""]
    if done.returncode:
        return [done.stderr.strip().splitlines()[-1][:60], "", ""]
    found = json.loads(done.stdout.splitlines()[-1])
    return [f"{found['seconds']:.3f}", f"{found['cpu']:.3f}", f"{found['ratio']:.1f}"]


def contenders() -> dict[str, Callable[[np.ndarray, int], Work]]:
    from lomar_cli.scoring.registry import METHODS

    ours = ["lomar-auto", "lomar", "krum", "foolsgold"]
    found = {"Gram product": lambda x, jobs: lambda: x @ x.T, "distances": distances}
    found["distance views of lomar-auto"] = method("lomar-auto", views="near,far,mean")
    found.update({f"method {n}": method(n) for n in ours if n in METHODS.names()})
    for rule in ("Krum", "MultiKrum"):
        found[f"ByzFL {rule}, NumPy"] = byzfl(rule, torch=False)
        found[f"ByzFL {rule}, torch"] = byzfl(rule, torch=True)
    found["scikit-learn LOF"] = lof
    found["SciPy pdist"] = pdist
    return found


def measure(name: str, clients: int, size: int, threads: int, turns: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    x = 0.01 * rng.standard_normal((clients, size), np.float32)
    x += 0.01 * rng.standard_normal(size, np.float32)
    work = contenders()[name](x, threads)
    work()
    x @ x.T
    times, cpus, ratios = [], [], []
    for _ in range(turns):
        _, gram = clocked(lambda: x @ x.T)
        seconds, cpu = clocked(work)
        times.append(seconds)
        cpus.append(cpu)
        ratios.append(cpu / gram)
    return {
        "seconds": statistics.median(times),
        "cpu": statistics.median(cpus),
        "ratio": statistics.median(ratios),
    }


def clocked(work: Work) -> tuple[float, float]:
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu


def updates(x: np.ndarray) -> Any:
    """The round as softmax regression's: ten labels own all parameters."""
    from lomar_cli.files.updates import OutputLayer, Updates

    clients, size = x.shape
    names = [str(row) for row in range(clients)]
    features = size // LABELS - 1
    tensors = {
        "fc.weight": x[:, : LABELS * features].reshape(clients, LABELS, features),
        "fc.bias": x[:, -LABELS:],
    }
    output = OutputLayer("fc.weight", "fc.bias")
    return Updates(names, np.full(clients, 600), tensors, output)


def distances(x: np.ndarray, jobs: int) -> Work:
    from lomar_cli.scoring.geometry import Geometry

    def work() -> None:
        geometry = Geometry(updates(x), jobs=jobs)
        geometry.profile(max(1, len(x) // 2))
        _ = geometry.course

    return work


def method(name: str, **options: str) -> Callable[[np.ndarray, int], Work]:
    def made(x: np.ndarray, jobs: int) -> Work:
        from lomar_cli.scoring.judge import judge
        from lomar_cli.scoring.registry import METHODS

        return lambda: judge(updates(x), METHODS.make(name, options), jobs=jobs)

    return made


def byzfl(rule: str, torch: bool) -> Callable[[np.ndarray, int], Work]:
    def made(x: np.ndarray, jobs: int) -> Work:
        rules = importlib.import_module("byzfl.aggregators.aggregators")
        aggregate = getattr(rules, rule)(len(x) // 5)
        given: Any = x
        if torch:
            library = importlib.import_module("torch")
            library.set_num_threads(jobs)
            given = library.from_numpy(x)
        return lambda: aggregate(given)

    return made


def lof(x: np.ndarray, jobs: int) -> Work:
    neighbors = importlib.import_module("sklearn.neighbors")
    count = max(1, len(x) // 2)
    return lambda: neighbors.LocalOutlierFactor(count, n_jobs=jobs).fit(x)


def pdist(x: np.ndarray, jobs: int) -> Work:
    space = importlib.import_module("scipy.spatial.distance")
    return lambda: space.pdist(x, "sqeuclidean")


if __name__ == "__main__":
    main()
