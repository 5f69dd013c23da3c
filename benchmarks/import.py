"""What an import costs beside copying the same files: python benchmarks/import.py [CLIENTS] [SIZE]

Makes CLIENTS (200) safetensors files of SIZE (6,000,000) float32 numbers in a temporary folder,
copies them and syncs the copies, and imports them with `lomar dump --differences`. Both are their
best of three, in turn. Needs three times CLIENTS * SIZE * 4 bytes of disk (LOMAR_BENCHMARK_DIR).
"""

from __future__ import annotations

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


def copied(source: Path, target: Path) -> float:
    target.mkdir()
    began = time.perf_counter()
    for path in sorted(source.iterdir()):
        shutil.copyfile(path, target / path.name)
        with (target / path.name).open("rb") as stream:
            os.fsync(stream.fileno())
    taken = time.perf_counter() - began
    shutil.rmtree(target)
    return taken


def imported(source: Path, target: Path) -> float:
    options = ["--differences", "--output-layer", "fc.weight", "-q", "-o", target]
    command = [sys.executable, "-m", "lomar_cli", "dump", source, *options]
    began = time.perf_counter()
    subprocess.run(list(map(str, command)), check=True)
    taken = time.perf_counter() - began
    target.unlink()
    return taken


def main(clients: int = 200, size: int = 6_000_000) -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("LOMAR_BENCHMARK_DIR")) as folder:
        source = Path(folder) / "clients"
        source.mkdir()
        rng = np.random.default_rng(0)
        body = rng.normal(size=size - 1010).astype(np.float32)
        for number in range(clients):
            body[number] += 1
            weight = rng.normal(size=(10, 100)).astype(np.float32)
            one = {"body": body, "fc.weight": weight, "fc.bias": weight[:, 0].copy()}
            save_file(one, source / f"c{number:04}.safetensors")
        copies, imports = [], []
        for _ in range(3):
            copies.append(copied(source, Path(folder) / "copy"))
            imports.append(imported(source, Path(folder) / "r.h5"))
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        print(f"{clients} clients x {size:,} float32, {clients * size * 4 / 1e9:.1f} GB")
        print(f"copying {min(copies):.1f} s, importing {min(imports):.1f} s")
        print(
            f"importing takes {min(imports) / min(copies):.2f} times as long, {most:.2f} GB at most"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
