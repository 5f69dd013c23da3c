"""Judge the rows of a results file of ``detection.py`` anew, whatever grids they came from.

    python benchmarks/detection_again.py docs/detection/results.csv.xz -o new.csv
        [--method lomar-auto] [--cache DIR] [--jobs N]

Each row of the method is made again from its world, attack and share; what else the file holds, its
order, and the taught separator stay as they are. New rows are kept beside the output until all are
made, so that a run that was killed goes on. An output that ends in .xz is packed.
"""

from __future__ import annotations

import argparse
import lzma
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from _attacks import attacked
from _results import Results, Row, write
from _rounds import Rounds
from _worlds import World, size
from detection import KEYS, TRUSTED, VALUES, trusting, verdict

from lomar_cli.scoring.judge import prepare
from lomar_cli.threads import one_blas_thread

PLACE = ("data", "scheme", "level", "clients", "samples", "seed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--method", default="lomar-auto")
    parser.add_argument("--cache", type=Path, help="folder that keeps trained rounds")
    parser.add_argument("--data-dir", type=Path, help="default: LOMAR_DATA_DIR")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    old = Results(given.results, KEYS, VALUES)
    rows = old.read()
    if given.method not in {row["method"] for row in rows}:
        parser.error(f"--method: {given.results} has no row of {given.method}")
    made = Results(given.output.with_name(given.output.name + ".made"), KEYS, VALUES)
    there = made.done()
    left = [r for r in rows if r["method"] == given.method and old.key(r) not in there]
    run(left, made, given.cache, given.data_dir, given.jobs)
    new = {made.key(row): row for row in made.read()}
    write(given.output, [new.get(old.key(row), row) for row in rows])
    if given.output.suffix == ".xz":
        given.output.write_bytes(lzma.compress(given.output.read_bytes()))
    made.path.unlink(missing_ok=True)
    made.path.with_suffix(".lock").unlink(missing_ok=True)


def run(
    rows: Sequence[Row], made: Results, cache: Path | None, data_dir: Path | None, jobs: int
) -> None:
    """Judge rows anew, a world at a time and ``jobs`` worlds at once."""
    from joblib import Parallel, delayed

    worlds: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if ":" in row["data"]:
            raise SystemExit(f"{row['data']}: rows of unlike pictures are made by detection.py")
        worlds.setdefault(tuple(row[name] for name in PLACE), []).append(row)
    work = (delayed(judge_world)(one, made, cache, data_dir) for one in worlds.values())
    done = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(work)
    for number, told in enumerate(done, 1):
        print(f"{number} of {len(worlds)} worlds, {told}", file=sys.stderr, flush=True)


def judge_world(
    rows: Sequence[Row], made: Results, cache: Path | None, data_dir: Path | None
) -> str:
    first = rows[0]
    samples, _, spread = first["samples"].partition("~")
    world = World(
        first["data"],
        ("dirichlet" if first["scheme"] == "dirichlet" else "") + first["level"],
        int(first["seed"]),
        int(first["clients"]),
        int(samples),
        data_dir,
        spread=float(spread or 0),
    )
    rounds, flips = Rounds(world, cache), size(world.data).flips
    with one_blas_thread():
        for row in rows:
            made.append([judged(rounds, flips, row)])
    return f"{world.name}: {len(rows)} rows"


def judged(rounds: Rounds, flips: Sequence[str], row: Row) -> Row:
    number, name = int(row["round"]), row["method"]
    if not row["n"]:
        # The attack did not apply, which is not the method's doing.
        return row
    cell = attacked(rounds, number, row["attack"], float(row["tau"]), flips)
    if name.partition("@")[0] in TRUSTED:
        screened = trusting(rounds, number, cell)
    else:
        screened = prepare(cell.updates, seed=rounds.world.seed)
    blank = dict.fromkeys(VALUES, "")
    return {**row, **blank, **verdict(screened, cell, name), "separator": row["separator"]}


if __name__ == "__main__":
    main()
