"""What an import costs beside copying the same files.

    python benchmarks/import.py [CLIENTS] [SIZE] [TIMES]

Makes CLIENTS (200) safetensors files of SIZE (6,000,000) float32 numbers in a temporary folder,
copies them with and without a sync of the copies, and imports them with `lomar dump --differences`;
in turn, TIMES (3) times, of which the best counts. CPU time tells more where the machine has other
work: that of an import is, but for a second or less, that of writing and of two SHA-256 passes
(each file's, and each client's), which are timed beside it. Needs three times CLIENTS * SIZE * 4
bytes of disk (LOMAR_BENCHMARK_DIR).
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


def hashed(source: Path) -> tuple[float, float]:
    began, cpu = time.perf_counter(), time.process_time()
    for path in sorted(source.iterdir()):
        with path.open("rb") as stream:
            hashlib.file_digest(stream, "sha256")
    return time.perf_counter() - began, time.process_time() - cpu


def imported(source: Path, target: Path) -> tuple[float, float]:
    options = ["--differences", "--output-layer", "fc.weight", "-q", "-o", target]
    command = [sys.executable, "-m", "lomar_cli", "dump", source, *options]
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
        copies, synced, hashes, imports = [], [], [], []
        for _ in range(times):
            copies.append(copied(source, Path(folder) / "copy", synced=False))
            synced.append(copied(source, Path(folder) / "copy", synced=True))
            hashes.append(hashed(source))
            imports.append(imported(source, Path(folder) / "r.h5"))
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        print(f"{clients} clients x {size:,} float32, {clients * size * 4 / 1e9:.1f} GB")
        for name, each in (
            ("copying", copies),
            ("copying and syncing", synced),
            ("one SHA-256 pass", hashes),
            ("importing", imports),
        ):
            print(f"{name} {min(w for w, _ in each):.1f} s, CPU {min(c for _, c in each):.1f} s")
        best = min(w for w, _ in imports)
        plain, safe = (best / min(w for w, _ in each) for each in (copies, synced))
        print(f"importing takes {safe:.2f} times as long as copying and syncing, {plain:.2f} times")
        print(f"as long as copying, and {most:.2f} GB of memory at most")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
