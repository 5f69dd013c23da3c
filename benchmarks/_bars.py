"""What a method is asked to reach, and how many cells of a results file reach it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from _results import Row
from _worlds import ON

# Their defender has data of its own, or is nobody's.
NO_RIVALS = {"fltrust", "zeno", "zeno-plus", "none"}
PURE = ("pure", "pure-pairs", "pure-4:9", "pure-5:3")
MIXED, ALIKE = ("mixed", "mixed-pairs"), ("mixed-4:9", "mixed-5:3")
MODELS = (
    *("boosted", "boosted-mixed", "stealth", "sign-flip", "noise", "alie", "ipm", "fang-krum"),
    *("fang-trimmed-mean", "min-max", "min-sum", "backdoor", "dba", "mimic"),
)
CELL = ("data", "scheme", "level", "clients", "samples", "tau", "round", "attack")
LARGE = 60


@dataclass(frozen=True)
class Verdict:
    """A method on one cell, a mean over seeds or one seed alone; None where it says nothing.

    ``best`` is the highest AUC of another method on the same rounds, ``plain`` that of "lomar".
    """

    about: Row
    clients: int
    auc: float | None
    found: float | None
    false_alarms: float | None
    best: float | None
    plain: float | None


Test = Callable[[Verdict], bool]


@dataclass(frozen=True)
class Bar:
    """``applies`` says to which cells, ``met`` whether one of these reaches it."""

    name: str
    asked: str
    applies: Test
    met: Test


def on(attacks: Sequence[str], *levels: str, **more: str) -> Test:
    """Cells of at least 60 clients with one of these attacks, and one of these lambdas if any."""

    def applies(one: Verdict) -> bool:
        about = one.about
        spread = about["level"] in levels and about["scheme"] == "paper"
        asked = all(about[key] == value for key, value in more.items())
        return (
            one.clients >= LARGE and about["attack"] in attacks and (spread or not levels) and asked
        )

    return applies


def at_least(
    auc: float, found: float, alarms: float, lower: tuple[float, float] | None = None
) -> Test:
    """AUC, share found and false alarms; ``lower`` are the first two on digits and kddcup99."""

    def met(one: Verdict) -> bool:
        small = lower is not None and one.about["data"].partition(ON)[0] in ("digits", "kddcup99")
        least, share = lower if small and lower is not None else (auc, found)
        return (
            _reaches(one.auc, least)
            and _reaches(one.found, share)
            and one.false_alarms is not None
            and one.false_alarms <= alarms + 1e-9
        )

    return met


def near(of: str, slack: float) -> Test:
    """AUC no more than ``slack`` below that of the best other method, or of lomar."""

    def met(one: Verdict) -> bool:
        against = one.best if of == "best" else one.plain
        return against is None or _reaches(one.auc, against - slack)

    return met


def quiet(alarms: float) -> Test:
    return lambda one: one.false_alarms is not None and one.false_alarms <= alarms + 1e-9


def _reaches(value: float | None, least: float) -> bool:
    # The file has four digits.
    return value is not None and value >= least - 5e-5


def _small(one: Verdict) -> bool:
    return one.about["attack"] == "none" and one.clients < LARGE


def _comparable(one: Verdict) -> bool:
    return one.clients >= LARGE and one.about["attack"] != "none" and one.plain is not None


LOW = ("0", "0.3", "0.5")
DECORRELATED = tuple(f"{name}-decorrelated" for name in MODELS)
BARS = (
    Bar("no attack", "false alarms <= 1 %", on(("none",)), quiet(0.01)),
    Bar("no attack, fewer than 60 clients", "false alarms <= 2 %", _small, quiet(0.02)),
    Bar("pure flips", "AUC 0.999, found 99 %, 1 %", on(PURE), at_least(0.999, 0.99, 0.01)),
    *(
        Bar(f"{name}, {spread}", asked, on(attacks, *levels), met)
        for name, attacks in (("mixed flips", MIXED), ("mixed flips of like classes", ALIKE))
        for spread, levels, asked, met in (
            (
                "lambda <= 0.5",
                LOW,
                "AUC 0.999, found 99 % (digits, kddcup99: 0.995, 94 %), 1 %",
                at_least(0.999, 0.99, 0.01, (0.995, 0.94)),
            ),
            ("lambda 0.7", ("0.7",), "AUC 0.98, found 93 %, 2 %", at_least(0.98, 0.93, 0.02)),
        )
    ),
    Bar(
        "mixed flips, lambda 0.9, mnist 1:7",
        "AUC 0.95, found 80 %",
        on(("mixed",), "0.9", data="mnist"),
        at_least(0.95, 0.8, 1.0),
    ),
    Bar(
        "all mixed flips, lambda 0.9",
        "AUC above any other method's",
        on((*MIXED, *ALIKE), "0.9"),
        lambda one: one.best is None or (one.auc is not None and one.auc >= one.best),
    ),
    Bar("attacks on the round", "AUC >= best other - 0.01", on(MODELS), near("best", 0.01)),
    Bar("the same, decorrelated", "AUC >= best other - 0.01", on(DECORRELATED), near("best", 0.01)),
    Bar("all attacks", "AUC >= lomar - 0.01", _comparable, near("plain", 0.01)),
)


def verdicts(rows: Iterable[Row], method: str, seeds: bool) -> list[Verdict]:
    """What a method says of each cell: of each seed alone, or of all seeds in the mean."""
    keys = (*CELL, "seed") if seeds else CELL
    cells: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        cells[tuple(row[key] for key in keys)].append(row)
    made = []
    for found in cells.values():
        own = [row for row in found if row["method"] == method and row["n"]]
        if not own:
            continue
        others = {row["method"] for row in found} - {method} - NO_RIVALS
        aucs = [value for name in others if (value := _mean(found, name, "auc")) is not None]
        made.append(
            Verdict(
                own[0],
                min(int(row["n"]) for row in own),
                _mean(found, method, "auc"),
                _mean(found, method, "found"),
                _mean(found, method, "false_alarms"),
                max(aucs, default=None),
                _mean(found, "lomar", "auc") if method != "lomar" else None,
            )
        )
    return made


def _mean(rows: Iterable[Row], method: str, column: str) -> float | None:
    values = [float(row[column]) for row in rows if row["method"] == method and row[column]]
    return fmean(values) if values else None


def judged(rows: Sequence[Row], method: str) -> list[Row]:
    """A row a bar: cells that reach it, in the mean over seeds and seed by seed, and the worst."""
    means, singles = verdicts(rows, method, False), verdicts(rows, method, True)
    made = []
    for bar in BARS:
        cells = [one for one in means if bar.applies(one)]
        alone = [one for one in singles if bar.applies(one)]
        if not cells:
            continue
        made.append(
            {
                "method": method,
                "bar": bar.name,
                "asked": bar.asked,
                "cells": str(len(cells)),
                "met": str(sum(map(bar.met, cells))),
                "rounds": str(len(alone)),
                "rounds_met": str(sum(map(bar.met, alone))),
                "worst_auc": _worst(min, [one.auc for one in cells]),
                "worst_found": _worst(min, [one.found for one in cells]),
                "worst_false_alarms": _worst(max, [one.false_alarms for one in cells]),
            }
        )
    return made


def _worst(pick: Callable[[list[float]], float], values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{pick(known):.3f}" if known else ""
