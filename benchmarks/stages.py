"""One round of the paper's MNIST setting, stage by stage, each a process of its own.

    LOMAR_DATA_DIR=folder python benchmarks/stages.py [LAMBDA ...]

The commands of sample_data/mnist_round.sh: 1,000 clean clients of 600 samples, 100 pure flippers,
five epochs, batches of 20; lambda 0 if not given. For each stage the wall time, the processor time
(user and system, over all threads), the highest resident memory, and the share of all wall time;
below them the sum, the highest memory of any stage, and the bar. On a busy machine wall time says
little: compare processor times, and divide them by the cores.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

BAR_SECONDS, BAR_GIB = 15.0, 3.0


@dataclass
class Spent:
    """Seconds by the clock, seconds of processors, and GiB at most."""

    wall: float
    processor: float
    memory: float


def main() -> None:
    for imbalance in sys.argv[1:] or ["0"]:
        with tempfile.TemporaryDirectory() as folder:
            report(imbalance, {words[0]: spend(words) for words in stages(Path(folder), imbalance)})


def stages(folder: Path, imbalance: str) -> list[list[str]]:
    """The words of each command."""
    split, poisoned, made, scores, kept, model = (
        str(folder / f"{name}.h5")
        for name in ("split", "poisoned", "round", "scores", "kept", "next")
    )
    truth, metrics = str(folder / "truth.json"), str(folder / "metrics.json")
    drawn = ["--clients", "1000", "--samples-per-client", "600", "--imbalance", imbalance]
    flip = ["--flip", "1:7"]
    taught = ["--epochs", "5", "--batch-size", "20", "--lr", "0.01"]
    judged = ["--split", poisoned, *flip, "--scores", scores, "--truth", truth]
    return [
        ["partition", "mnist", *drawn, "-o", split],
        ["attack", "label-flip", split, *flip, "--malicious", "100", "-o", poisoned],
        ["train", poisoned, *taught, "-o", made],
        ["score", made, "--method", "lomar", "-o", scores],
        ["filter", made, "--scores", scores, "-o", kept],
        ["aggregate", made, "--scores", scores, "-o", model],
        ["evaluate", model, *judged, "-o", metrics],
    ]


def spend(words: list[str]) -> Spent:
    """Run one command to its end and return what it took."""
    command = [sys.executable, "-m", "lomar_cli", *words, "-q"]
    start = time.perf_counter()
    child = os.posix_spawn(command[0], command, os.environ)
    _, status, used = os.wait4(child, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"lomar {' '.join(words)}: failed")
    return Spent(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20)


def report(imbalance: str, rows: dict[str, Spent]) -> None:
    total = sum(row.wall for row in rows.values())
    print(f"1,100 clients x 600 samples of MNIST, lambda {imbalance}")
    print(f"{'stage':<10} {'wall':>8} {'processor':>10} {'memory':>9} {'share':>7}")
    for name, row in rows.items():
        print(line(name, row), f"{row.wall / total:7.1%}")
    highest = max(row.memory for row in rows.values())
    whole = Spent(total, sum(row.processor for row in rows.values()), highest)
    print(line("all", whole), f"  (the bar is {BAR_SECONDS:.0f} s and {BAR_GIB:.0f} GiB)\n")


def line(name: str, row: Spent) -> str:
    return f"{name:<10} {row.wall:6.2f} s {row.processor:8.2f} s {row.memory:5.2f} GiB"


if __name__ == "__main__":
    main()
