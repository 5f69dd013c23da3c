"""``score --cluster`` on worker processes of this machine: costs of a call, bytes moved, speed.

    python benchmarks/cluster_score.py [--clients 400] [--parameters 250000] [--workers 1,2,4]
    python benchmarks/cluster_score.py --only calls|round|reads|kernel|judge|plan

Writes a round in four shards (400 MB by default) and has it judged by the workers of ``local:N``,
phase by phase, beside ``score`` alone, which streams it. Times are by the clock; CPU is what the
workers used, which says more on a busy machine. ``reads`` and ``kernel`` are one process: reading
by the length of a run, and the sums at the shape of a large round. ``judge`` is the step after the
sums, for distances of 10,000 clients that nobody measured. ``plan`` puts constants in a model
(``docs/scale.md``) of a round that is too large for here.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _noise import FEATURES, LABELS, write
from _plan import Plan
from numpy.typing import NDArray

from lomar_cli.engine.base import Engine
from lomar_cli.engine.opened import open_engine
from lomar_cli.files.round import open_round, open_rounds
from lomar_cli.files.stretches import stretches
from lomar_cli.files.updates import OutputLayer, Updates
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.distances import matrix_bytes
from lomar_cli.scoring.far import FarGeometry
from lomar_cli.scoring.lomar_auto import LomarAuto
from lomar_cli.scoring.middle import CourseSum
from lomar_cli.scoring.sums import Summing, Sums, Wanted
from lomar_cli.stages import far
from lomar_cli.stages.score import score
from lomar_cli.threads import one_blas_thread

SHARDS = 4
MB = 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=400)
    parser.add_argument("--parameters", type=int, default=250_000)
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--memory", type=int, default=2**29)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--folder", help="where the round is written (default: temporary files)")
    given = parser.parse_args()
    for name, part in PARTS.items():
        if given.only in (None, name):
            print(f"\n{name}")
            part(given)


def calls(given: argparse.Namespace) -> None:
    """What a call costs that does nothing."""
    for workers in numbers(given.workers):
        with open_engine(f"local:{workers}") as engine:
            list(engine.unordered(abs, [(1,)] * 20))
            start = time.perf_counter()
            list(engine.unordered(abs, [(1,)] * 500))
            seconds = time.perf_counter() - start
            start = time.perf_counter()
            engine.total(abs, [(1,)] * 500, max)
            added = time.perf_counter() - start
        print(f"{workers} workers: {seconds * 2:.1f} ms a call, {added * 2:.1f} ms with its sum")


def whole_round(given: argparse.Namespace) -> None:
    """The round by the workers, phase by phase, and streamed here."""
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        paths = write(Path(folder), given.clients, given.parameters, SHARDS)
        size = sum(path.stat().st_size for path in paths)
        print(f"{given.clients:,} clients x {given.parameters:,}: {size / MB:,.0f} MB in {SHARDS}")
        start, cpu = time.perf_counter(), time.process_time()
        here = score(paths, memory=given.memory, jobs=1)
        took(f"streamed in one process, --jobs 1, {size / MB:,.0f} MB", start, cpu, size)
        for workers in numbers(given.workers):
            start = time.perf_counter()
            with open_engine(f"local:{workers}") as engine:
                print(f"{workers} workers: start {time.perf_counter() - start:.1f} s")
                phases(engine, paths, given.memory, size)
            start = time.perf_counter()
            there = score(paths, memory=given.memory, cluster=f"local:{workers}")
            apart = np.abs(there.suspicion - here.suspicion).max()
            same = "the same" if (there.keep == here.keep).all() else "OTHER"
            print(f"  as a whole {time.perf_counter() - start:.1f} s; {same} decisions, "
                  f"suspicions within {apart:.0e}")  # fmt: skip


def phases(engine: Engine, paths: list[Path], memory: int, size: int) -> None:
    with open_rounds(paths, updates=False) as found:
        with measured(engine, "check clients", size):
            far._checked(engine, found)
        workers = far._Workers(engine, found, found.updates, memory // engine.beside, "cpu")
        rows = np.arange(len(found.head.clients))
        wanted = Wanted(course=True)
        parts = len(workers._calls(None, wanted, rows))
        with measured(engine, f"sum over parameters, {parts} calls", size):
            workers.whole(wanted, rows)


class measured:
    """Seconds by the clock, the workers' CPU seconds, and what they sent each other and this."""

    def __init__(self, engine: Engine, what: str, size: int) -> None:
        self.engine, self.what, self.size = engine, what, size

    def __enter__(self) -> None:
        self.before = [sum(each) for each in zip(*self._used(), strict=True)]
        self.start = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        seconds = time.perf_counter() - self.start
        after = [sum(each) for each in zip(*self._used(), strict=True)]
        cpu, sent = (b - a for a, b in zip(self.before, after, strict=True))
        print(
            f"  {self.what}: {seconds:.2f} s, {self.size / MB / seconds:,.0f} MB/s; "
            f"{cpu:.2f} CPU s, {self.size / MB / max(cpu, 1e-9):,.0f} MB a CPU second; "
            f"{sent / MB:.1f} MB sent"
        )

    def _used(self) -> list[tuple[float, float]]:
        return list(self.engine.everywhere(used).values())  # type: ignore[arg-type]


def used(dask_worker: Any = None) -> tuple[float, float]:
    """On a worker: CPU seconds so far, and bytes sent to other workers and the client."""
    return time.process_time(), float(dask_worker.transfer_outgoing_bytes_total)


def reads(given: argparse.Namespace) -> None:
    """Reading ranges of parameters over all clients, by the length of a client's run."""
    clients, parameters = 64, 1_500_000
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        (path,) = write(Path(folder), clients, parameters, 1)
        size = path.stat().st_size
        with open_round(path, -1, verify=False) as found:
            for _ in stretches(found.updates.tensors, 2**24):
                pass
            for run in (2**10, 2**12, 2**14, 2**16, 2**18, 2**20):
                cpu = time.process_time()
                for _ in stretches(found.updates.tensors, run * clients):
                    pass
                spent = time.process_time() - cpu
                print(f"{run // 1024:>5} KiB of each client: {size / MB / spent:,.0f} MB a CPU s")


def kernel(given: argparse.Namespace) -> None:
    """The sums of one stretch at the shape of a large round."""
    for clients, columns in ((1000, 8192), (4000, 2048), (10_000, 819)):
        block = np.random.default_rng(0).standard_normal((clients, columns), dtype=np.float32)
        rows = np.arange(clients)
        summing = Summing(Wanted(), rows, block.dtype)
        course = CourseSum(clients)

        class Fed:
            pass

        stretch: Any = Fed()
        stretch.block = block
        with one_blas_thread():
            # A call sums many stretches: the first one finds no memory there.
            summing.feed(stretch)
            cpu = time.process_time()
            summing.feed(stretch)
            squares = time.process_time() - cpu
            cpu = time.process_time()
            course.add(block)
            pointed = time.process_time() - cpu
        total = summing.finish()
        cpu = time.process_time()
        _ = total + total
        added = time.process_time() - cpu
        flops = clients * clients * columns
        print(
            f"{clients:>6} x {columns}: distances {squares:.2f} CPU s, {flops / squares / 1e9:.0f} "
            f"GFLOP a second; course {pointed:.2f} CPU s, {block.nbytes / MB / pointed:,.0f} MB a "
            f"second; two sums added in {added:.2f} s; {peak():.2f} GB at most"
        )
        del block, summing, total, stretch


def judge(given: argparse.Namespace) -> None:
    """What the process that judges needs, once the sums are there."""
    for clients in (2500, 10_000):
        rng = np.random.default_rng(0)
        width = LABELS * FEATURES
        sent = rng.standard_normal((clients, width), dtype=np.float32)
        tensors = {"fc.weight": sent.reshape(clients, LABELS, FEATURES)}
        names = [str(number) for number in range(clients)]
        updates = Updates(names, np.ones(clients, np.int64), tensors, OutputLayer("fc.weight"))
        made = Made(sent)
        before = peak()
        geometry = FarGeometry(updates, np.arange(clients), made, 2**31, course=True)
        _ = geometry.squares
        cpu = time.process_time()
        LomarAuto()(RoundView(updates, geometry))
        print(f"{clients:>6} clients: {time.process_time() - cpu:.1f} CPU s; distances "
              f"{matrix_bytes(clients) / 1e9:.2f} GB; {before:.2f} GB before, "
              f"{peak():.2f} GB at most")  # fmt: skip


class Made:
    """Sums of numbers that are here, in place of a cluster's."""

    def __init__(self, sent: NDArray[np.float32]) -> None:
        self._sent = sent

    def whole(self, wanted: Wanted, rows: NDArray[np.intp]) -> Sums:
        summing = Summing(wanted, rows, self._sent.dtype)

        class Fed:
            block = self._sent

        summing.feed(Fed())  # type: ignore[arg-type]
        return summing.finish()

    def labels(self, labels: Any, rows: NDArray[np.intp]) -> Iterator[Any]:
        raise NotImplementedError


def planned(given: argparse.Namespace) -> None:
    for line in Plan(10_000, 25_000_000, 50, 16, shards=20).lines():
        print(line)


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "calls": calls,
    "round": whole_round,
    "reads": reads,
    "kernel": kernel,
    "judge": judge,
    "plan": planned,
}


def took(what: str, start: float, cpu: float, size: int) -> None:
    seconds, spent = time.perf_counter() - start, time.process_time() - cpu
    print(f"{what}: {seconds:.2f} s, {size / MB / seconds:,.0f} MB/s; {spent:.2f} CPU s")


def peak() -> float:
    """GB of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
