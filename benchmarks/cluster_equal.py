"""How far scores made on a cluster lie from those of one process, in trained rounds.

    python benchmarks/cluster_equal.py [--cache DIR] [--data digits,mnist,...] [--attacks none,...]

Federations, attacks and the cache of trained rounds are those of ``detection.py``. Each round is
written to a file and judged twice by every method that works on a cluster: in memory, and by the
calls that workers get, its parameters cut into as many sums as there are pieces of 64 KiB. One
process makes these calls in turn: whoever works, the bytes are the same (``tests/engine``).

Printed are, a method, the rounds, those with another decision, and the largest difference of a
suspicion: ``lomar-auto``, ``lomar`` and ``lof`` relative to 1 + the suspicion, others to the
largest of the round.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
from _attacks import attacked
from _rounds import Rounds
from _worlds import SIZES, World

from lomar_cli.engine.local import Serial
from lomar_cli.errors import NotApplicableError
from lomar_cli.files.round import RoundHead, create_round
from lomar_cli.files.scores import Scores
from lomar_cli.files.updates import Updates
from lomar_cli.stages import far
from lomar_cli.stages.score import score

METHODS = ("lomar-auto", "lomar", "krum", "lof", "kde", "spectral", "robust-covariance")
BY_CLIENT = ("lomar-auto", "lomar", "lof")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, help="folder that keeps trained rounds")
    parser.add_argument("--data-dir", type=Path, help="default: LOMAR_DATA_DIR")
    parser.add_argument("--data", default="digits,mnist,kddcup99")
    parser.add_argument("--schemes", default="0,0.5,0.9,dirichlet0.1")
    parser.add_argument("--attacks", default="none,pure,mimic")
    parser.add_argument("--rounds", default="1,10")
    parser.add_argument("--seeds", default="0")
    given = parser.parse_args()
    totals = {name: Total() for name in METHODS}
    axes = (given.data, given.schemes, given.seeds)
    for data, scheme, seed in itertools.product(*(axis.split(",") for axis in axes)):
        size = SIZES[data]
        world = World(data, scheme, int(seed), size.clients, size.samples, given.data_dir)
        rounds = Rounds(world, given.cache)
        for number, attack in itertools.product(given.rounds.split(","), given.attacks.split(",")):
            try:
                made = attacked(rounds, int(number), attack, 0.2, size.flips)
            except NotApplicableError:
                continue
            compare(made.updates, f"{world.name}, round {number}, {attack}", totals)
    print(f"{'method':18} rounds  other decisions  largest difference")
    for name, total in totals.items():
        print(
            f"{name:18} {total.rounds:6}  {total.decisions:15}  {total.most:.1e} in {total.where}"
        )


class Total:
    """What was seen of one method."""

    def __init__(self) -> None:
        self.rounds, self.decisions, self.most, self.where = 0, 0, -math.inf, ""

    def add(self, where: str, here: Scores, there: Scores, by_client: bool) -> None:
        self.rounds += 1
        if (here.keep != there.keep).any():
            self.decisions += 1
            who = ", ".join(np.asarray(here.clients)[here.keep != there.keep])
            print(f"{here.method}, another decision: {where}: {who}", flush=True)
        scale = 1 + np.abs(here.suspicion) if by_client else np.abs(here.suspicion).max()
        most = float((np.abs(here.suspicion - there.suspicion) / scale).max())
        if most > self.most:
            self.most, self.where = most, where


def compare(updates: Updates, where: str, totals: dict[str, Total]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "round.h5"
        write(path, updates)
        for name, total in totals.items():
            here = score(path, name=name)
            with in_pieces():
                there = score(path, name=name, cluster="here", memory=2**16)
            total.add(where, here, there, name in BY_CLIENT)


@contextlib.contextmanager
def in_pieces() -> Iterator[None]:
    """Calls are made by this process, and as many as can be."""

    @contextlib.contextmanager
    def serial(*_: object) -> Iterator[Serial]:
        yield Serial()

    small = {"SUMMED": 2**16, "_TIMES": 0, "_LEAST_WIDTH": 2**16, "open_engine": serial}
    with patch.multiple(far, **small):
        yield


def write(path: Path, updates: Updates) -> None:
    arrays = {name: np.asarray(tensor[:]) for name, tensor in updates.tensors.items()}
    head = RoundHead(
        clients=updates.clients,
        num_examples=updates.num_examples,
        shapes={name: array.shape[1:] for name, array in arrays.items()},
        dtypes={name: array.dtype for name, array in arrays.items()},
        output=updates.output,
        labels=(),
        round_number=1,
        base_sha256="",
    )
    with create_round(path, head, [], force=True) as writer:
        writer.write(0, arrays)


if __name__ == "__main__":
    main()
