"""A Dask scheduler and many small workers, each a process of one thread on loopback.

Workers are forked from a process that has loaded everything: fifty start in seconds, and share what
they loaded. None has a nanny: one that is killed is gone. What a process does by the clock, tens
of times a second, is set to seconds: fifty on two cores would do little else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import dask
import numpy as np
from distributed import Client, Scheduler, SchedulerPlugin, Worker

from lomar_cli.files.round import open_rounds

_LOADED = ["_farm", "lomar_cli.stages.far_calls", "lomar_cli.stages.score", "scipy.linalg"]
START = 300.0
_RARELY = {
    "distributed.admin.tick.interval": "5s",
    "distributed.admin.tick.limit": "1h",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.worker.memory.monitor-interval": "2s",
    "distributed.worker.profile.enabled": False,
    # A process that gets no core for 30 s would pass for a dead one.
    "distributed.comm.timeouts.tcp": "600s",
    "distributed.comm.timeouts.connect": "600s",
}


@dataclass(frozen=True)
class Used:
    """Of one worker, since it started: CPU seconds, bytes read, sent to workers, memory, spilled.

    ``memory`` is the most that it had beyond what it started with, in bytes.
    """

    cpu: float
    read: int
    sent: int
    memory: int
    spilled: int


class Farm:
    """``address`` of the scheduler; ``processes`` are the workers', in no order."""

    def __init__(self, workers: int, memory_limit: int, folder: Path) -> None:
        dask.config.set(_RARELY)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_LOADED)
        # Python 3.11 does not tell that process where this one finds its modules.
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
        here, there = self._context.Pipe(duplex=False)
        self._scheduler = self._context.Process(target=_schedule, args=(there,), daemon=True)
        self._scheduler.start()
        self.address: str = here.recv()
        self.processes = [
            self._context.Process(
                target=_work, args=(self.address, memory_limit, str(folder)), daemon=True
            )
            for _ in range(workers)
        ]
        for process in self.processes:
            process.start()
        self.client = Client(self.address, timeout=START, set_as_default=False)
        self.client.wait_for_workers(workers, timeout=START)
        self.client.register_plugin(Counting(), name="counting")

    def warm(self, paths: Sequence[Path]) -> None:
        """Have every worker open and read a round once, so that it has loaded what that takes."""
        self.client.run(_warm, [path.resolve() for path in paths])

    def used(self) -> dict[str, Used]:
        """By worker, of those that are alive."""
        found: dict[str, Used] = self.client.run(_used)
        return found

    def scheduled(self) -> tuple[float, Counter[str]]:
        """The scheduler's CPU seconds, and how many calls of each function are done."""
        found: tuple[float, Counter[str]] = self.client.run_on_scheduler(_scheduled)
        return found

    def kill(self, number: int) -> None:
        """End so many workers at once by SIGKILL."""
        for process in self.processes[:number]:
            process.kill()
        for process in self.processes[:number]:
            process.join()
        self.processes = self.processes[number:]

    def close(self) -> None:
        self.client.close()
        for process in (*self.processes, self._scheduler):
            process.kill()
            process.join()


@contextlib.contextmanager
def farm(workers: int, memory_limit: int, folder: Path) -> Iterator[Farm]:
    made = Farm(workers, memory_limit, folder)
    try:
        yield made
    finally:
        made.close()


class Counting(SchedulerPlugin):
    """Counts calls that were done, also those that were made again, by their function's name."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()

    def transition(self, key: Any, start: str, finish: str, *args: Any, **more: Any) -> None:
        if start == "processing" and finish == "memory" and isinstance(key, tuple):
            self.done[str(key[0]).rpartition("-")[0]] += 1


def _warm(paths: Sequence[Path]) -> None:
    with open_rounds(paths, verify=False, updates=False) as found:
        for tensor in found.updates.tensors.values():
            np.asarray(tensor[:1])


def _scheduled(dask_scheduler: Any = None) -> tuple[float, Counter[str]]:
    return time.process_time(), dask_scheduler.plugins["counting"].done


def _used(dask_worker: Any = None) -> Used:
    spilled = getattr(dask_worker.data, "spilled_total", None)
    return Used(
        time.process_time(),
        _read(),
        int(dask_worker.transfer_outgoing_bytes_total),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - dask_worker.extensions["base"],
        0 if spilled is None else int(spilled.disk),
    )


def _read() -> int:
    """Bytes that this process has read from files, also from the page cache; of no sockets."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def _schedule(told: Connection) -> None:
    _quiet()
    dask.config.set(_RARELY)

    async def run() -> None:
        async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
            told.send(scheduler.address)
            await scheduler.finished()

    asyncio.run(run())


def _work(address: str, memory_limit: int, folder: str) -> None:
    _quiet()
    os.environ["OMP_NUM_THREADS"] = "1"
    base = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    dask.config.set(_RARELY)

    async def run() -> None:
        worker = Worker(
            address,
            nthreads=1,
            host="127.0.0.1",
            memory_limit=memory_limit,
            local_directory=folder,
            dashboard=False,
        )
        async with worker:
            worker.extensions["base"] = base
            await worker.finished()

    asyncio.run(run())


def _quiet() -> None:
    logging.disable(logging.CRITICAL)
    # On a loaded machine a folder takes Dask's "surprisingly long".
    warnings.simplefilter("ignore")
