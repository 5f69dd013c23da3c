"""Who finds which attackers: every method on every attack, data set, spread of labels and round.

    python benchmarks/detection.py [--cache DIR] [--methods NAME,...|all] [-o results.csv] [--full]

The default is a small grid that takes minutes; --full is the whole one, and every axis can be set
by itself. A row a cell and method is added to the results file as it is made, and cells that are
there are not made again: a run that was killed goes on, and --again NAME,... judges anew by some
methods. Trained rounds are kept in --cache, so that this takes no training. ``detection_report.py``
makes tables of the file.

Softmax regression, or what ``--data`` names (``digits+cnn``), 5 epochs, batches of 20, learning
rate 0.01. Attackers are added to the honest
clients, tau for each; when a run asks for more than 0.4, it draws other attackers for all of its
shares. Rounds go on by the average of the honest clients. Malicious are attackers that poisoned at
least one sample; one that holds no sample of the source label counts as honest. Methods that take a
number of malicious clients are told the true one, methods that need trusted data get an honest
client's; nobody has these in practice, and lomar-auto does without.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _attacks import ATTACKS, Attacked, attacked, ways
from _ceiling import told_apart
from _parts import looks
from _pictures import parsed as look
from _results import Results, Row
from _rounds import Rounds
from _sent import parsed, sent
from _worlds import SIZES, SPARE, World, size

from lomar_cli.errors import LomarError, NotApplicableError, UsageError
from lomar_cli.learning.loss import loss_on
from lomar_cli.learning.metrics import detection
from lomar_cli.scoring.judge import Screened, prepare
from lomar_cli.scoring.options import parse_settings
from lomar_cli.scoring.registry import METHODS
from lomar_cli.threads import one_blas_thread

KEYS = ("data", "scheme", "level", "clients", "samples", "tau", "round", "seed", "attack", "method")
VALUES = ("n", "malicious", "auc", "found", "false_alarms", "threshold", "separator", "reason")
LAMBDAS = ("0", "0.3", "0.5", "0.7", "0.9")
QUICK = {
    "data": "digits,mnist",
    "schemes": "0,0.5,0.9",
    "taus": "0.1,0.3",
    "rounds": "1",
    "seeds": "1,2",
    "attacks": "none,pure,mixed,boosted,sign-flip,alie,ipm,min-max",
    "methods": "lomar,lomar-auto,lof@neighbors=0.5n,krum,foolsgold",
}
FULL = {
    "data": ",".join(SIZES),
    "schemes": ",".join([*LAMBDAS, "dirichlet0.1", "dirichlet1"]),
    "taus": "0.1,0.2,0.3,0.4",
    "rounds": "1,3,10",
    "seeds": "1,2,3,4,5",
    "attacks": "all",
    "methods": "all",
}
ABOUT = {
    "data": "data sets, as NAME or NAME+MODEL",
    "schemes": "lambdas of the paper's partition, and dirichletALPHA",
    "taus": "attackers for each honest client",
    "rounds": "rounds that are judged",
    "seeds": "seeds",
    "attacks": "attacks, or all",
    "methods": "methods, as NAME or NAME@OPTION=VALUE, or all",
}
# Methods with options of their own, as NAME@OPTION=VALUE: a wide neighbourhood suits LOF better.
VARIANTS = ("lof@neighbors=0.5n",)
TRUSTED = {"fltrust", "zeno", "zeno-plus"}


@dataclasses.dataclass(frozen=True)
class Grid:
    """What is asked for: lists of each axis, and where results and trained rounds lie."""

    taus: Sequence[float]
    rounds: Sequence[int]
    attacks: Sequence[str]
    methods: Sequence[str]
    output: Path
    cache: Path | None
    data_dir: Path | None
    present: int | None = None
    sent: str = ""
    kinds: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, about in ABOUT.items():
        parser.add_argument(f"--{name}", help=f"{about} (default {QUICK[name]})")
    parser.add_argument("--full", action="store_true", help="the whole grid, where not set")
    parser.add_argument("--clients", type=int, help="honest clients (default: by data set)")
    parser.add_argument("--samples", type=int, help="samples a client (default: by data set)")
    parser.add_argument("--spread", type=float, default=0.0, help="of numbers of samples")
    parser.add_argument("--pictures", default="", help="that look different: see _pictures.py")
    parser.add_argument("--kinds", action="store_true", help="those are told, and judged apart")
    parser.add_argument("--present", type=int, help="so many at random take part (default: all)")
    parser.add_argument("--sent", default="", help="what arrives of updates: see _sent.py")
    parser.add_argument("--again", default="", help="judge anew by these methods")
    parser.add_argument("--cache", type=Path, help="folder that keeps trained rounds")
    parser.add_argument("--data-dir", type=Path, help="default: LOMAR_DATA_DIR")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("-o", "--output", type=Path, default=Path("detection.csv"))
    given = parser.parse_args()
    axes = {name: _axis(given, name) for name in ABOUT}
    grid = Grid(
        [float(one) for one in axes["taus"]],
        [int(one) for one in axes["rounds"]],
        _known("--attacks", axes["attacks"], list(ATTACKS)),
        _methods(axes["methods"], given.methods is None),
        given.output,
        given.cache,
        given.data_dir,
        given.present,
        given.sent,
        given.kinds,
    )
    if grid.sent:
        parsed(grid.sent)
    if given.pictures:
        look(given.pictures)
    elif given.kinds:
        parser.error("--kinds: is of --pictures")
    if given.again and given.output.exists():
        results(grid).drop("method", given.again.split(","))
    worlds = [
        World(
            data,
            scheme,
            int(seed),
            given.clients or size(data).clients,
            given.samples or size(data).samples,
            given.data_dir,
            max(SPARE, *grid.taus),
            given.spread,
            given.pictures,
        )
        for seed, data, scheme in itertools.product(axes["seeds"], axes["data"], axes["schemes"])
    ]
    run(worlds, grid, given.jobs)


def _axis(given: argparse.Namespace, name: str) -> list[str]:
    text = getattr(given, name) or (FULL if given.full else QUICK)[name]
    return [one for one in text.split(",") if one]


def _known(flag: str, names: list[str], known: list[str]) -> list[str]:
    missing = [name for name in names if name not in known]
    if missing and names != ["all"]:
        raise SystemExit(f"{flag}: there is no {missing[0]} (known: {', '.join(known)})")
    return known if names == ["all"] else names


def _methods(names: list[str], lenient: bool) -> list[str]:
    """The methods that are asked for; ``lenient`` passes over those that are not there yet."""
    known = METHODS.names()
    if names == ["all"]:
        return [*known, *VARIANTS]
    if lenient:
        names = [name for name in names if name.partition("@")[0] in known]
    _known("--methods", [name.partition("@")[0] for name in names], known)
    return names


def results(grid: Grid) -> Results:
    return Results(grid.output, KEYS, VALUES)


def run(worlds: Sequence[World], grid: Grid, jobs: int) -> None:
    """Judge all worlds, ``jobs`` at a time; say on stderr how far it is."""
    from joblib import Parallel, delayed

    work = (delayed(judge_world)(world, grid) for world in worlds)
    done = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(work)
    for number, made in enumerate(done, 1):
        print(f"{number} of {len(worlds)} worlds, {made}", file=sys.stderr, flush=True)


def judge_world(world: World, grid: Grid) -> str:
    """Make the rows of one world that are missing; what was done, in words."""
    file = results(grid)
    there, rounds, count = file.done(), Rounds(world, grid.cache), 0
    for number, attack, tau in _cells(grid):
        about = _about(world, number, attack, tau, grid.sent)
        left = [m for m in grid.methods if file.key({**about, "method": m}) not in there]
        if left:
            with one_blas_thread():
                rows = judge_cell(rounds, number, attack, tau, left, grid)
            file.append({**about, **row} for row in rows)
            count += len(rows)
    return f"{world.name}: {count} rows"


def _cells(grid: Grid) -> Iterator[tuple[int, str, float]]:
    for number, attack in itertools.product(grid.rounds, grid.attacks):
        for tau in [0.0] if attack == "none" else grid.taus:
            yield number, attack, tau


def _about(world: World, number: int, attack: str, tau: float, sent: str) -> Row:
    named = world.scheme.startswith("dirichlet")
    more = "".join(f":{one}" for one in (world.pictures, sent) if one)
    return {
        "data": f"{world.data}{more}",
        "scheme": "dirichlet" if named else "paper",
        "level": world.scheme.removeprefix("dirichlet"),
        "clients": str(world.clients),
        "samples": f"{world.samples}~{world.spread:g}" if world.spread else str(world.samples),
        "tau": f"{tau:g}",
        "round": str(number),
        "seed": str(world.seed),
        "attack": attack,
    }


def judge_cell(
    rounds: Rounds,
    number: int,
    attack: str,
    tau: float,
    methods: Sequence[str],
    grid: Grid,
) -> list[Row]:
    """A row a method; where there is no verdict, the reason for it."""
    present, arrives = grid.present, grid.sent
    flips = size(rounds.world.data).flips
    try:
        made = attacked(rounds, number, attack, tau, flips)
    except NotApplicableError as error:
        return [{"method": name, "reason": str(error)} for name in methods]
    if present is not None:
        made = taking_part(made, present, rounds.world.seed)
    if arrives:
        updates = sent(made.updates, arrives, 1000 * rounds.world.seed + number)
        made = Attacked(updates, made.malicious)
    kinds = None
    if grid.kinds:
        known = looks(rounds.world)
        kinds = [known[client] for client in made.updates.clients]
    seen = prepare(made.updates, seed=rounds.world.seed).in_groups(kinds)
    ceiling = None
    if ATTACKS[attack].part.startswith("mixed") and ATTACKS[attack].then is None:
        ceiling = told_apart(rounds, number, made, ways(ATTACKS[attack], flips))
    rows = []
    for name in methods:
        screened = seen
        if name in TRUSTED:
            screened = trusting(rounds, number, made).in_groups(kinds)
        rows.append({"method": name, **verdict(screened, made, name), "separator": _text(ceiling)})
    return rows


def taking_part(made: Attacked, count: int, seed: int) -> Attacked:
    """So many of a round's clients, drawn at random."""
    order = np.random.default_rng(seed).permutation(len(made.malicious))
    rows = np.sort(order[:count])
    return Attacked(made.updates.rows(rows), made.malicious[rows])


def trusting(rounds: Rounds, number: int, made: Attacked) -> Screened:
    """The round with what a defender with data of its own has: an honest client's worth of it."""
    world = rounds.world
    root, samples = rounds.root(number)
    data, model = world.dataset, rounds.model(number)
    loss = loss_on(world.architecture, data, samples, data.y_train[samples])
    return prepare(
        made.updates,
        seed=world.seed,
        root=root,
        loss=lambda step: loss({key: model[key] + step.get(key, 0) for key in model}),
    )


def verdict(screened: Screened, made: Attacked, name: str) -> Row:
    """What a method says of a round, against the truth."""
    guilty = [c for c, bad in zip(made.updates.clients, made.malicious, strict=True) if bad]
    counts: dict[str, Any] = {"n": str(len(made.malicious)), "malicious": str(len(guilty))}
    plain, *settings = name.split("@")
    try:
        options = {"assume_malicious": str(len(guilty)), **parse_settings(settings)}
        method = METHODS.make(plain, options, strict=False)
        judged = screened.judge(method)
    except UsageError as error:
        return {**counts, "reason": str(error)}
    except (LomarError, ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
        return {**counts, "reason": f"failed: {type(error).__name__}: {error}"}
    found = detection(made.updates.clients, judged.suspicion, judged.keep, guilty)
    measured = {key: _text(found[key]) for key in ("auc", "found", "false_alarms")}
    return {**counts, **measured, "threshold": f"{judged.threshold:.5g}"}


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main()
