"""Approximate neighbours beside exact ones: time, recall, and what it does to the scores.

    python benchmarks/neighbors.py [--clients 20000] [--features 30] [-k 50]

A round of softmax regression (ten labels; 310 parameters by default) in which clients lie around a
few directions, as non-i.i.d. ones do, and 5 % are label flippers who lie close together. Both ways
judge it by ``lomar`` on one thread: CPU seconds, the share of the exact neighbours that the
approximate ones include, and the AUC of both. Needs the extra ``ann``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from lomar_cli.files.updates import OutputLayer, Updates
from lomar_cli.scoring.approximate import approximate
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.judge import judge
from lomar_cli.scoring.lomar import Lomar

MEMORY = 2**32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=20_000)
    parser.add_argument("--features", type=int, default=30)
    parser.add_argument("-k", type=int, default=50)
    given = parser.parse_args()
    updates, malicious = made_round(given.clients, given.features)
    print(f"{given.clients:,} clients x {updates.size:,} parameters, k = {given.k}, one thread")
    with threadpool_limits(1):
        exact, slow = clocked(lambda: Geometry(updates, MEMORY).neighbours(given.k).mask)
        listed, quick = clocked(lambda: approximate(updates, given.k, 0, MEMORY)[0].indices)
        recall = np.take_along_axis(exact, listed, axis=1).mean()
        print(f"neighbours: exact {slow:.1f} s, approximate {quick:.1f} s; recall {recall:.4f}")
        for search in ("exact", "approximate"):
            method = Lomar(neighbors=str(given.k), neighbors_search=search)
            found, taken = clocked(lambda method=method: judge(updates, method, memory=MEMORY))
            low = auc(found.suspicion, malicious)
            print(f"lomar, {search}: {taken:.1f} s, AUC {low:.4f}, {(~found.keep).sum()} flagged")


def made_round(clients: int, features: int) -> tuple[Updates, np.ndarray]:
    rng = np.random.default_rng(0)
    size = 10 * (features + 1)
    ways = rng.standard_normal((20, size), np.float32)
    values = rng.standard_normal((clients, 20), np.float32) @ ways
    values += rng.standard_normal((clients, size), np.float32)
    malicious = np.arange(clients) < clients // 20
    values[malicious] = 2 * ways[0] + 0.7 * rng.standard_normal((malicious.sum(), size), np.float32)
    weight = values[:, : 10 * features].reshape(clients, 10, features)
    tensors = {"fc.weight": weight, "fc.bias": values[:, 10 * features :]}
    names = [f"c{row:06}" for row in range(clients)]
    output = OutputLayer("fc.weight", "fc.bias")
    return Updates(names, np.full(clients, 600), tensors, output), malicious


def auc(suspicion: np.ndarray, malicious: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(malicious, suspicion))


def clocked(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    found = work()
    return found, time.process_time() - start


if __name__ == "__main__":
    main()
