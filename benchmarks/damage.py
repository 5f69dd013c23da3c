"""What attackers who know the defenses do to the model: 25 rounds, each defense filtering.

    python benchmarks/damage.py [-o damage.csv] [--full] [--defenses NAME,...]

Detection alone says little: a missed attacker may do no harm, and a false alarm may cost a label.
So each run starts from zero, lets a defense filter every round, and reports the accuracy on the
source label, the mean over the models of the last five rounds. Three lines stand beside it for
each setting: "no attack" (the attackers' places are taken by ordinary honest clients, no defense),
"floor" (by honest clients that hold no sample of the source label: what is lost when attackers only
fall away), and the defense "none". Clients hold as many samples each and all take part in every
round; the attackers are tau for each honest client.

A defense is a method ("lof", "lof@neighbors=0.2n"), a method that is told how many to remove
("lof@told"), or a rule ("rule:median"); where a method gives weights these are used. A row a run
is added as it is made, and what is there is not run again (--again DEFENSE,... does).
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import sys
from pathlib import Path

import numpy as np
from _attacks import ATTACKS, attacked, together
from _course import Course, Defended, defend
from _results import Results, Row
from _worlds import SPARE, World, size

from lomar_cli.errors import LomarError
from lomar_cli.scoring.registry import METHODS
from lomar_cli.threads import one_blas_thread

KEYS = ("data", "lambda", "flip", "tau", "seed", "rounds", "attack", "defense")
VALUES = ("source", "overall", "found", "false_alarms", "reason")
NO_ATTACK, FLOOR, NONE = "no attack", "floor", "none"
LAST = 5
QUICK = {
    "data": "mnist",
    "lambdas": "0,0.9",
    "flips": "4:9",
    "taus": "0.2",
    "seeds": "1",
    "attacks": "framing,mixed",
    "defenses": "none,lomar-auto,lomar,lof@told,krum",
}
FULL = {
    "data": "mnist",
    "lambdas": "0,0.5,0.9",
    "flips": "1:7,4:9,5:3",
    "taus": "0.1,0.3",
    "seeds": "1,2,3",
    "attacks": (
        "framing,label-mix-walk,label-mix-stride,mixed,false-bias,false-bias-random,"
        "alie-decorrelated,ipm-decorrelated,min-max-decorrelated"
    ),
    "defenses": (
        "none,lomar-auto,lomar,lof,lof@told,krum,foolsgold,spectral,signguard,dnc,flame,kde,"
        "rule:median,rule:trimmed-mean,rule:geometric-median,rule:centred-clipping"
    ),
}
ABOUT = {
    "data": "data sets",
    "lambdas": "spreads of labels",
    "flips": "SOURCE:TARGET, by number",
    "taus": "attackers for each honest client",
    "seeds": "seeds",
    "attacks": "attacks",
    "defenses": "defenses",
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One federation: who attacks whom, and what is done about it."""

    world: World
    flip: str
    tau: float
    rounds: int
    attack: str
    defense: str

    @property
    def row(self) -> Row:
        return {
            "data": self.world.data,
            "lambda": self.world.scheme,
            "flip": self.flip,
            "tau": f"{self.tau:g}",
            "seed": str(self.world.seed),
            "rounds": str(self.rounds),
            "attack": self.attack,
            "defense": self.defense,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, about in ABOUT.items():
        parser.add_argument(f"--{name}", help=f"{about} (default {QUICK[name]})")
    parser.add_argument("--full", action="store_true", help="the whole grid, where not set")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--again", default="", help="run anew with these defenses")
    parser.add_argument("--data-dir", type=Path, help="default: LOMAR_DATA_DIR")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("-o", "--output", type=Path, default=Path("damage.csv"))
    given = parser.parse_args()
    file = Results(given.output, KEYS, VALUES)
    if given.again and given.output.exists():
        file.drop("defense", given.again.split(","))
    there = file.done()
    left = [run for run in asked(given) if file.key(run.row) not in there]
    from joblib import Parallel, delayed

    work = (delayed(measured)(run) for run in left)
    done = Parallel(n_jobs=given.jobs, return_as="generator_unordered", batch_size=1)(work)
    for number, row in enumerate(done, 1):
        file.append([row])
        said = " ".join(row[key] for key in ("lambda", "flip", "tau", "seed", "attack", "defense"))
        result = row.get("source") or row.get("reason")
        print(f"{number} of {len(left)} runs: {said}: {result}", file=sys.stderr, flush=True)


def asked(given: argparse.Namespace) -> list[Run]:
    """All runs, each setting's lines to compare with before the attacks on it."""
    axes = {name: _axis(given, name) for name in ABOUT}
    defenses = [
        name
        for name in axes["defenses"]
        if given.defenses or name.startswith("rule:") or name.partition("@")[0] in METHODS.names()
    ]
    missing = [name for name in axes["attacks"] if name not in ATTACKS]
    if missing:
        raise SystemExit(f"--attacks: there is no {missing[0]} (known: {', '.join(ATTACKS)})")
    runs = []
    where = (axes[name] for name in ("seeds", "data", "lambdas", "flips", "taus"))
    for seed, data, spread, flip, tau in itertools.product(*where):
        own, most = size(data), max(SPARE, float(tau))
        world = World(data, spread, int(seed), own.clients, own.samples, given.data_dir, most)
        beside = [(NO_ATTACK, NONE), (FLOOR, NONE)]
        pairs = [*beside, *itertools.product(axes["attacks"], defenses)]
        runs += [Run(world, flip, float(tau), given.rounds, *pair) for pair in pairs]
    return runs


def _axis(given: argparse.Namespace, name: str) -> list[str]:
    text = getattr(given, name) or (FULL if given.full else QUICK)[name]
    return [one for one in text.split(",") if one]


def measured(run: Run) -> Row:
    """Run a federation; its row of measurements, or the reason for none."""
    try:
        with one_blas_thread():
            return {**run.row, **federation(run)}
    except (LomarError, ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
        return {**run.row, "reason": f"{type(error).__name__}: {error}"}


def federation(run: Run) -> Row:
    course, source = Course(run.world), int(run.flip.partition(":")[0])
    sources, overall, found, alarms = [], [], [], []
    for number in range(1, run.rounds + 1):
        malicious, done = one_round(course, run, number)
        course.step(done.update)
        if malicious.any():
            found.append(done.out[malicious].mean())
        alarms.append(done.out[~malicious].mean())
        if number > run.rounds - LAST:
            sources.append(course.right(source))
            overall.append(course.right())
    means = {"source": sources, "overall": overall, "found": found, "false_alarms": alarms}
    return {name: f"{np.mean(each):.4f}" if each else "" for name, each in means.items()}


def one_round(course: Course, run: Run, number: int) -> tuple[np.ndarray, Defended]:
    """Who was malicious, and what the defense made of the round."""
    world, source = run.world, run.flip.partition(":")[0]
    if run.attack in (NO_ATTACK, FLOOR):
        part = "own" if run.attack == NO_ATTACK else f"without {source}"
        made = together(course, number, part, world.attackers(run.tau))
    else:
        made = attacked(course, number, run.attack, run.tau, (run.flip,))
    return made.malicious, defend(made, run.defense, world.seed)


if __name__ == "__main__":
    main()
