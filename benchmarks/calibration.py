"""How many honest clients lomar-auto removes, against how many it was allowed to.

    python benchmarks/calibration.py [--data digits,mnist] [--clients 10,20,40,100]
        [--schemes 0,0.5,0.9,dirichlet0.1,dirichlet1] [--rounds 1] [--seeds 20] [--from 1]
        [--allowed 0.01,0.05,0.1] [--views VIEWS] [--cache DIR] [--csv]

Rounds hold honest clients only (softmax regression, 5 epochs, batches of 20, learning rate 0.01).
A row is one data set, scheme, number of clients and round: the share of clients removed over all
seeds at each ``--false-alarm`` that was asked for, the most that one round lost, and how many
rounds lost anybody. A clean share depends on the draw; the error of its mean over rounds is given.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _attacks import attacked
from _rounds import Rounds
from _worlds import World, size

from lomar_cli.scoring.judge import prepare
from lomar_cli.scoring.lomar_auto import LomarAuto
from lomar_cli.threads import one_blas_thread

COLUMNS = ("data", "scheme", "clients", "round", "seeds", "asked", "removed", "error", "worst",
           "rounds_hit", "by_view")  # fmt: skip


@dataclass(frozen=True)
class Lost:
    """The share of honest clients that a round lost (0 to 1), and by which views."""

    share: float
    views: dict[str, float]


def lost(rounds: Rounds, number: int, allowed: Sequence[float], views: str = "all") -> list[Lost]:
    """What round ``number`` of honest clients loses, for each share that may be removed."""
    made = attacked(rounds, number, "none", 0.0, size(rounds.world.data).flips)
    seen = prepare(made.updates)
    found = []
    for share in allowed:
        said = seen.judge(LomarAuto(views=views, false_alarm=share))
        by_view = {
            name.removeprefix("view_"): float((column[~said.keep] > 1).sum()) / len(column)
            for name, column in said.columns.items()
        }
        found.append(Lost(float((~said.keep).mean()), by_view))
    return found


def rows(args: argparse.Namespace) -> Iterator[dict[str, str]]:
    """A row for each cell and share asked for."""
    allowed = [float(share) for share in args.allowed.split(",")]
    seeds = range(args.first, args.first + args.seeds)
    for data in args.data.split(","):
        for scheme in args.schemes.split(","):
            for count in (int(text) for text in args.clients.split(",")):
                runs = [
                    Rounds(World(data, scheme, seed, count, size(data).samples), args.cache)
                    for seed in seeds
                ]
                for number in (int(text) for text in args.rounds.split(",")):
                    per_seed = [lost(run, number, allowed, args.views) for run in runs]
                    for at, asked in enumerate(allowed):
                        cell = (data, scheme, count, number, len(seeds), asked)
                        yield _row(cell, [each[at] for each in per_seed])


def _row(cell: Sequence[object], rounds: Sequence[Lost]) -> dict[str, str]:
    shares = np.array([each.share for each in rounds])
    error = float(shares.std(ddof=1) / np.sqrt(len(shares))) if len(shares) > 1 else 0.0
    names = {name for each in rounds for name, share in each.views.items() if share > 0}
    by_view = {
        name: float(np.mean([each.views.get(name, 0.0) for each in rounds]))
        for name in sorted(names)
    }
    said = " ".join(f"{name}:{share:.4f}" for name, share in by_view.items())
    numbers = (f"{shares.mean():.4f}", f"{error:.4f}", f"{shares.max():.3f}")
    values = [*map(str, cell), *numbers, str(int((shares > 0).sum())), said]
    return dict(zip(COLUMNS, values, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default="digits,mnist")
    parser.add_argument("--schemes", default="0,0.5,0.9,dirichlet0.1,dirichlet1")
    parser.add_argument("--clients", default="10,20,40,100")
    parser.add_argument("--rounds", default="1", help="which rounds are judged, from 1")
    parser.add_argument("--seeds", type=int, default=20, help="how many clean rounds a cell")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first seed")
    parser.add_argument("--allowed", default="0.01,0.05,0.1", help="shares that may be removed")
    parser.add_argument("--views", default="all")
    parser.add_argument("--cache", type=Path, help="a folder to keep trained rounds in")
    parser.add_argument("--csv", action="store_true", help="comma-separated, for a file")
    args = parser.parse_args()
    table = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    if args.csv:
        table.writeheader()
    else:
        print(" ".join(f"{name:>12}" for name in COLUMNS))
    with one_blas_thread():
        for row in rows(args):
            if args.csv:
                table.writerow(row)
            else:
                print(" ".join(f"{row[name]:>12}" for name in COLUMNS), flush=True)


if __name__ == "__main__":
    main()
