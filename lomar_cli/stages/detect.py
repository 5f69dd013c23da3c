"""Score tables beside the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.errors import InputError, LomarError
from lomar_cli.files.provenance import file_sha256
from lomar_cli.files.scores import Scores, read_scores
from lomar_cli.files.text import printable
from lomar_cli.files.truth import read_truth
from lomar_cli.learning import metrics
from lomar_cli.plots.save import rendered


@dataclass(frozen=True)
class Compared:
    """A score table, which of its clients are malicious (n,), and the detection figures."""

    path: Path
    scores: Scores
    malicious: np.ndarray[Any, np.dtype[np.bool_]]
    measured: dict[str, Any]


def compared(paths: Sequence[Path], truth_path: Path, inputs: dict[str, str]) -> list[Compared]:
    """Compare every table with one truth; ``inputs`` gets the digests of what was read.

    Raises InputError when the truth names a client that a table does not have.
    """
    truth = read_truth(truth_path)
    guilty = set(truth.malicious)
    done = []
    for number, path in enumerate(paths):
        scores = read_scores(path)
        _check_known(guilty, scores, truth_path, path if len(paths) > 1 else None)
        inputs["scores" if len(paths) == 1 else f"scores_{number}"] = scores.sha256
        measured = metrics.detection(scores.clients, scores.suspicion, scores.keep, guilty)
        malicious = np.array([client in guilty for client in scores.clients], dtype=bool)
        done.append(Compared(path, scores, malicious, {"method": scores.method, **measured}))
    inputs["truth"] = file_sha256(truth_path)
    return done


def _check_known(guilty: set[str], scores: Scores, truth_path: Path, path: Path | None) -> None:
    unknown = sorted(guilty - set(scores.clients))
    if unknown:
        table = "the scores" if path is None else printable(str(path))
        raise InputError(
            f"{printable(str(truth_path))}: malicious: '{printable(unknown[0])}'"
            + (f" and {len(unknown) - 1} more are" if len(unknown) > 1 else " is")
            + f" not in {table}; is this the truth of another round?"
        )


def curves(tables: Sequence[Compared], figure: Path) -> bytes:
    """A figure of the tables' ROC curves.

    Raises LomarError where there is no curve: all clients are malicious, or none is.
    """
    from lomar_cli.plots.roc import Verdict, roc_figure

    for one in tables:
        if one.measured["auc"] is None:
            kind = "none is" if not one.malicious.any() else "all are"
            raise LomarError(
                f"--roc: a curve needs malicious and other clients; in "
                f"{printable(str(one.path))} {kind} malicious"
            )
    verdicts = [
        Verdict(
            name,
            one.scores.suspicion,
            one.malicious,
            one.measured["auc"],
            one.measured["found"],
            one.measured["false_alarms"],
        )
        for name, one in zip(
            names([(one.scores.method, one.path) for one in tables]), tables, strict=True
        )
    ]
    return rendered(figure, lambda: roc_figure(verdicts))


def names(tables: Sequence[tuple[str, Path]]) -> list[str]:
    """What tells tables (method, path) apart: methods if they do, else with their files' names."""
    found = [method or path.stem for method, path in tables]
    for more in (lambda path: path.name, str):
        count = Counter(found)
        found = [
            name if count[name] == 1 else f"{method} ({more(path)})" if method else more(path)
            for name, (method, path) in zip(found, tables, strict=True)
        ]
    # The same file twice: their numbers.
    count = Counter(found)
    return [n if count[n] == 1 else f"{n} {place}" for place, n in enumerate(found, start=1)]
