"""What an import costs beside copying the same files.

    python benchmarks/import.py [CLIENTS] [SIZE] [TIMES]

Makes CLIENTS (200) safetensors files of SIZE (6,000,000) float32 numbers in a temporary folder,
copies them with and without a sync of the copies, and imports them with `lomar dump --differences`,
as it is, which syncs, and once more with the sync left out; in turn, TIMES (3) times, of which the
best counts. All of it once with the files in the page cache
and once without them, as where another machine has sent them ("cold"; a hint to the kernel). CPU
time tells more where the machine has other work: that of an import is, but for a second or two,
that of copying and of a SHA-256 pass (each client's digest), which is timed beside it. Needs three
times CLIENTS * SIZE * 4 bytes of disk (LOMAR_BENCHMARK_DIR).
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file


def copied(source: Path, target: Path, synced: bool) -> tuple[float, float]:
    target.mkdir()
    began, cpu = time.perf_counter(), time.process_time()
    for path in sorted(source.iterdir()):
        shutil.copyfile(path, target / path.name)
        if synced:
            with (target / path.name).open("rb") as stream:
                os.fsync(stream.fileno())
    taken = time.perf_counter() - began, time.process_time() - cpu
    shutil.rmtree(target)
    return taken


def forgotten(source: Path) -> None:
    """Ask the kernel to drop the files from its cache."""
    for path in source.iterdir():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def hashed(source: Path) -> tuple[float, float]:
    began, cpu = time.perf_counter(), time.process_time()
    for path in sorted(source.iterdir()):
        with path.open("rb") as stream:
            hashlib.file_digest(stream, "sha256")
    return time.perf_counter() - began, time.process_time() - cpu


_UNSYNCED = "import os; os.fsync = lambda handle: None; from lomar_cli.__main__ import main; main()"


def imported(source: Path, target: Path, synced: bool) -> tuple[float, float]:
    options = ["--differences", "--output-layer", "fc.weight", "-q", "-o", target]
    how = ["-m", "lomar_cli"] if synced else ["-c", _UNSYNCED]
    command = [sys.executable, *how, "dump", source, *options]
    began, cpu = time.perf_counter(), children()
    subprocess.run(list(map(str, command)), check=True)
    taken = time.perf_counter() - began, children() - cpu
    target.unlink()
    return taken


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(clients: int = 200, size: int = 6_000_000, times: int = 3) -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("LOMAR_BENCHMARK_DIR")) as folder:
        source = Path(folder) / "clients"
        source.mkdir()
        rng = np.random.default_rng(0)
        noise = rng.normal(size=2 * size).astype(np.float32)
        for number in range(clients):
            body = noise[number * 997 :][: size - 1010].copy()
            weight = rng.normal(size=(10, 100)).astype(np.float32)
            one = {"body": body, "fc.weight": weight, "fc.bias": weight[:, 0].copy()}
            save_file(one, source / f"c{number:04}.safetensors")
        print(f"{clients} clients x {size:,} float32, {clients * size * 4 / 1e9:.1f} GB")
        for cold in (False, True):
            compare(source, Path(folder), times, cold)
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        print(f"{most:.2f} GB of memory at most")


def compare(source: Path, folder: Path, times: int, cold: bool) -> None:
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "copying": lambda: copied(source, folder / "copy", synced=False),
        "copying and syncing": lambda: copied(source, folder / "copy", synced=True),
        "one SHA-256 pass": lambda: hashed(source),
        "importing": lambda: imported(source, folder / "r.h5", synced=False),
        "importing and syncing": lambda: imported(source, folder / "r.h5", synced=True),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(times):
        for name, way in ways.items():
            if cold:
                forgotten(source)
            taken[name].append(way())
    clock = {name: min(wall for wall, _ in each) for name, each in taken.items()}
    print("cold" if cold else "in the page cache")
    for name, each in taken.items():
        print(f"  {name} {clock[name]:.1f} s, CPU {min(cpu for _, cpu in each):.1f} s")
    for name, against in (
        ("importing", "copying"),
        ("importing and syncing", "copying and syncing"),
        ("importing and syncing", "copying"),
    ):
        print(f"  {name}: {clock[name] / clock[against]:.2f} times {against}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
