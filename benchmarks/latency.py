"""What judging adds to a server's round, beside the averaging itself.

    python benchmarks/latency.py [--clients 100,1100] [--parameters 7850,1000120] [--runs 3]
                                 [--only NAME,...] [--threads 1]

The clients' trained parameters are in memory, float32, as a server has them. ``fedavg`` is their
weighted mean, a client at a time, in NumPy; the rule ``fedavg`` is lomar's own; ``score METHOD`` is
``lomar_cli.score_updates`` with the model that they started from. With flwr there, ``flower`` is
its FedAvg's ``aggregate_train`` on reply messages, and ``flower+METHOD`` the same behind
``LomarStrategy``. Each runs in a process of its own, in turn with what it is compared with: the
mean in NumPy, or Flower's FedAvg. Seconds are medians; CPU time holds on a busy machine, and so
does the ratio. ``peak`` is the most memory of the process while it works, ``beside`` what of it was
not there before.

7,850 parameters are a softmax regression's on MNIST, 1,000,120 those of a layer of 1,258 before it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import logging
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from methods import high_water
from threadpoolctl import threadpool_limits

import lomar_cli
from lomar_cli.aggregation.registry import RULES
from lomar_cli.files.updates import Updates
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.geometry import Geometry

LABELS, FEATURES = 10, 784
METHODS = ("lomar-auto", "lomar", "krum")
Arrays = dict[str, np.ndarray[Any, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", default="100,1100")
    parser.add_argument("--parameters", default="7850,1000120")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="these names only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        clients, parameters, name = given.child
        print(json.dumps(measure(int(clients), int(parameters), name, given)))
        return
    print("| clients | parameters | | CPU s | s | of | CPU s | ratio | beside GB | peak GB |")
    print("|---" * 10 + "|")
    for parameters in given.parameters.split(","):
        for clients in given.clients.split(","):
            for name in wanted(given.only):
                row(clients, parameters, name, given)


def wanted(only: str) -> list[str]:
    names = ["rule fedavg", *(f"score {method}" for method in METHODS)]
    if importlib.util.find_spec("flwr") is not None:
        names += ["flower+none", "flower+lomar-auto"]
    return [name for name in names if not only or name in only.split(",")]


def row(clients: str, parameters: str, name: str, given: argparse.Namespace) -> None:
    options = ["--runs", str(given.runs), "--threads", str(given.threads)]
    command = [sys.executable, __file__, *options, "--child", clients, parameters, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    start = f"| {int(clients):,} | {int(parameters):,} | {name} |"
    if done.returncode:
        print(start, done.stderr.strip().splitlines()[-1:], "|", flush=True)
        return
    found = json.loads(done.stdout.splitlines()[-1])
    ratio = found["cpu"] / found["than"]
    print(
        f"{start} {found['cpu']:.3f} | {found['wall']:.3f} | {found['of']} | {found['than']:.3f} "
        f"| {ratio:.1f} | {found['beside']:.2f} | {found['peak']:.2f} |",
        flush=True,
    )


def measure(clients: int, parameters: int, name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Time one of them and what it is compared with, in turn, in this process."""
    start, held = made(clients, parameters)
    with threadpool_limits(given.threads):
        if name.startswith("flower"):
            work, than, of = flower(start, held, name.partition("+")[2], given.threads)
        else:
            work, than, of = plain(start, held, name, given.threads)
        before = resident()
        taken = []
        for turn in range(given.runs + 1 if given.runs > 1 else 1):
            one = clocked(work)
            peak = high_water()
            if turn or given.runs == 1:
                taken.append((*one, *clocked(than)))
    cpu, wall, cpu_than, _ = (statistics.median(column) for column in zip(*taken, strict=True))
    about = {"cpu": cpu, "wall": wall, "than": cpu_than, "of": of}
    return {**about, "peak": peak, "beside": peak - before}


def resident() -> float:
    """The memory of this process in GB, from which its peak is counted anew."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return high_water()


def clocked(work: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds and seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def made(clients: int, parameters: int) -> tuple[Arrays, Arrays]:
    """The start model, and all clients' trained parameters (clients, \\*shape).

    Clients take a common step with noise; a tenth of them are moved on two labels, alike.
    """
    shapes: dict[str, tuple[int, ...]] = {"fc.weight": (LABELS, FEATURES), "fc.bias": (LABELS,)}
    hidden = round((parameters - LABELS) / (FEATURES + 1 + LABELS))
    if parameters > LABELS * (FEATURES + 1):
        before = {"hidden.weight": (hidden, FEATURES), "hidden.bias": (hidden,)}
        shapes = {**before, "fc.weight": (LABELS, hidden), "fc.bias": (LABELS,)}
    sizes = sum(math.prod(shape) for shape in shapes.values())
    if sizes != parameters:
        raise SystemExit(f"--parameters {parameters}: the nearest such model has {sizes}")
    rng = np.random.default_rng(0)
    start, held = {}, {}
    for name, shape in shapes.items():
        start[name] = 0.05 * rng.standard_normal(shape, np.float32)
        held[name] = rng.standard_normal((clients, *shape), np.float32)
        held[name] *= np.float32(0.01)
        held[name] += start[name] + 0.01 * rng.standard_normal(shape, np.float32)
        if name.startswith("fc"):
            flip = 0.02 * rng.standard_normal((2, *shape[1:]), np.float32)
            held[name][: clients // 10, [1, 7]] += flip
    return start, held


def named(held: Arrays) -> dict[str, Arrays]:
    clients = len(next(iter(held.values())))
    return {f"c{row}": {name: a[row] for name, a in held.items()} for row in range(clients)}


def averaged(updates: dict[str, Arrays]) -> Arrays:
    """The mean of all clients, one at a time."""
    total: Arrays = {}
    for arrays in updates.values():
        for name, array in arrays.items():
            part = array * (1 / len(updates))
            total[name] = total[name] + part if name in total else part
    return total


def plain(start: Arrays, held: Arrays, name: str, threads: int) -> tuple[Any, Any, str]:
    updates = named(held)
    kind, _, method = name.partition(" ")

    def rule() -> object:
        counts = np.ones(len(updates), np.int64)
        view = RoundView(seen := Updates(list(updates), counts, held), Geometry(seen))
        return RULES.make(method, {})(view, counts.astype(float))

    def score() -> object:
        return lomar_cli.score_updates(
            updates,
            base_model=start,
            method=method,
            jobs=threads,
            output_layer="fc.weight",
        )

    return rule if kind == "rule" else score, lambda: averaged(updates), "fedavg"


def flower(start: Arrays, held: Arrays, method: str, threads: int) -> tuple[Any, Any, str]:
    """Flower's FedAvg on reply messages, with and without a judge before it."""
    from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
    from flwr.serverapp.strategy import FedAvg
    from flwr.supercore.task_identity import TaskIdentity

    from lomar_cli.integrations.flower import LomarStrategy

    logging.getLogger("flwr").setLevel(logging.CRITICAL)
    TaskIdentity._task_id = TaskIdentity._run_id = TaskIdentity._node_id = 1
    replies = []
    for row in range(len(held["fc.bias"])):
        record = ArrayRecord({name: Array(array[row]) for name, array in held.items()})
        content = RecordDict({"arrays": record, "metrics": MetricRecord({"num-examples": 600})})
        ask = Message(RecordDict(), dst_node_id=row + 1, message_type="train")
        replies.append(Message(content, reply_to=ask))
    held.clear()
    alone = FedAvg(fraction_train=0.0, fraction_evaluate=0.0)
    judged = LomarStrategy(alone, method=method, output_layer="fc.weight", jobs=threads)
    model = ArrayRecord({name: Array(array) for name, array in start.items()})
    judged.configure_train(1, model, ConfigRecord(), None)
    work = [lambda: judged.aggregate_train(1, replies), lambda: alone.aggregate_train(1, replies)]
    return *work, "flower"


if __name__ == "__main__":
    main()
