"""Whole processes: ``lomar score`` on a round of 1,100 x 7,850, and ``lomar --help``.

    python benchmarks/commands.py

Times from start to exit, medians of seven runs after a warm-up; beside them, as yardsticks on the
same machine, a process that only starts Python and imports NumPy, and ``--method none``, which
reads and checks the round and judges nobody.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lomar_cli.files.round import RoundHead, create_round
from lomar_cli.files.updates import OutputLayer

RUNS = 7
METHODS = ("none", "lomar", "lomar-auto")


def main() -> None:
    lomar = [sys.executable, "-m", "lomar_cli"]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "round.h5"
        # In a process of its own: a child counts the memory of the one that starts it as its own.
        writer = multiprocessing.get_context("spawn").Process(target=write_round, args=(made,))
        writer.start()
        writer.join()
        words = [str(made), "-q", "-f", "-o", str(Path(folder) / "scores.h5")]
        yardstick = median([sys.executable, "-c", "import numpy"])
        rows = [("lomar --help", median([*lomar, "--help"]))]
        for method in METHODS:
            taken = median([*lomar, "score", *words, "--method", method])
            rows.append((f"lomar score --method {method}", taken))
    print(f"{'':<32} {'wall':>8} {'processor':>10} {'memory':>9}")
    for name, (wall, processor, memory) in [("python -c import numpy", yardstick), *rows]:
        print(f"{name:<32} {wall:6.2f} s {processor:8.2f} s {memory:6.2f} GB")
    reading, default = (dict(rows)[f"lomar score --method {name}"] for name in METHODS[::2])
    print(
        f"{METHODS[2]} takes {default[0] - reading[0]:.2f} s more than reading (the bar is 2 s), "
        f"and {default[1] - reading[1]:.2f} s more of the processors' time"
    )


def write_round(path: Path) -> None:
    rng = np.random.default_rng(0)
    count, shapes = 1100, {"fc.weight": (10, 784), "fc.bias": (10,)}
    head = RoundHead(
        clients=[f"c{i}" for i in range(count)],
        num_examples=np.full(count, 600, np.int64),
        shapes=shapes,
        dtypes={name: np.dtype(np.float32) for name in shapes},
        output=OutputLayer("fc.weight", "fc.bias"),
        labels=[],
        round_number=1,
        base_sha256="",
    )
    arrays = {
        name: rng.standard_normal((count, *shape)).astype(np.float32)
        for name, shape in shapes.items()
    }
    with create_round(path, head, []) as writer:
        writer.write(0, arrays)


def median(command: list[str]) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and GB of memory at most: medians over runs."""
    taken = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
        child = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
        _, status, used = os.wait4(child, 0)
        if status:
            raise SystemExit(f"{' '.join(command)}: failed")
        wall = time.perf_counter() - start
        taken.append((wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20))
    wall, processor, memory = (statistics.median(column) for column in zip(*taken[1:], strict=True))
    return wall, processor, memory


if __name__ == "__main__":
    main()
