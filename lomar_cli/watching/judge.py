"""Judge a closed round: its round file, scores, the next model, and the verdict that names them.

The same files make the same bytes, and those that ``lomar dump``, ``score`` and ``aggregate`` write
of them, so a round whose judging was cut off is simply judged again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lomar_cli.errors import InputError, LomarError, WriteError
from lomar_cli.files.atomic import atomic_bytes
from lomar_cli.files.scores import Scores, write_scores
from lomar_cli.files.text import json_text, printable
from lomar_cli.scoring.registry import METHODS
from lomar_cli.stages.aggregate import aggregate
from lomar_cli.stages.dump import Selection, dump
from lomar_cli.stages.score import score
from lomar_cli.watching.base import model_name, start_model
from lomar_cli.watching.beside import earlier_rounds, start_root
from lomar_cli.watching.inbox import Inbox
from lomar_cli.watching.job import ROUND, Job, Judging
from lomar_cli.watching.state import State

SCHEMA_VERSION = 1
VERDICT, SCORES, TABLE = "verdict.json", "scores.h5", "scores.csv"
AGGREGATED, JUDGED, FAILED = "aggregated", "judged", "failed"
_ASSUME = "assume_malicious"


class UnreadableError(Exception):
    """A client's file is not any more what it was when it was taken up."""


@dataclass(frozen=True)
class Verdict:
    """What the verdict file says; ``model`` is as in ``State``, ``seconds`` by phase."""

    document: Mapping[str, Any]
    model: str | None
    seconds: Mapping[str, float]

    @property
    def flagged(self) -> Sequence[str]:
        found: Sequence[str] = self.document["flagged"]
        return found


def method_options(judging: Judging) -> dict[str, Any]:
    """The method's options; a number of malicious clients only for one that reckons with it."""
    options = dict(judging.options)
    if judging.assume_malicious is not None and _ASSUME in METHODS.options(judging.method):
        options[_ASSUME] = judging.assume_malicious
    return options


def judge(job: Job, state: State, inbox: Inbox) -> Verdict:
    """Write all that there is to say of a closed round; the verdict file comes last.

    A round that the method or the rule cannot work on is not the end of the watch: the verdict says
    why there is no model, and the next round starts where this one did. UnreadableError when a
    client's file is not what it was; what cannot be written, and options that fit no round, are
    errors as everywhere.
    """
    folder, judging = job.folder(state.round), job.judging
    folder.mkdir(exist_ok=True)
    clock = _Phases()
    base = start_model(job, state)
    root = start_root(job, state)
    history = earlier_rounds(job, state.round)
    dumped = _dump(job, state, inbox, base)
    clock.done("reading")
    warnings: list[str] = list(dumped)
    notes: list[str] = []
    scores: Scores | None = None
    problem, made = "", ""
    try:
        scores = score(
            folder / ROUND,
            folder / SCORES,
            judging.method,
            method_options(judging),
            memory=judging.memory,
            jobs=judging.jobs,
            force=True,
            seed=judging.seed,
            history=history,
            root=root,
        )
        write_scores(folder / TABLE, scores, "csv", force=True)
        notes += scores.notes
        clock.done("scoring")
        if judging.aggregate:
            made = model_name(job)
            done = aggregate(
                folder / ROUND,
                folder / made,
                folder / SCORES,
                judging.rule,
                dict(judging.rule_options),
                base,
                from_zero=base is None,
                memory=judging.memory,
                force=True,
                seed=judging.seed,
                weights_by=judging.weights_by,
                max_weight_share=judging.max_weight_share,
                assume_malicious=judging.assume_malicious,
                pre=judging.pre,
                history=history,
                root=root,
            )
            notes += done.notes
            warnings += done.warnings
            clock.done("aggregating")
    except (WriteError, InputError):
        # A full disk, or our own files damaged: nothing that another round would mend.
        raise
    except LomarError as error:
        problem = str(error)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        # A defect of a method or a rule, perhaps another package's: a round must not end the watch.
        problem = f"{type(error).__name__}: {printable(str(error), 200)}"
    status = FAILED if problem else AGGREGATED if judging.aggregate else JUDGED
    document = {
        "schema_version": SCHEMA_VERSION,
        "round": state.round,
        "status": status,
        "problem": problem,
        "method": judging.method,
        "threshold": _finite(scores),
        "clients": len(state.files),
        "flagged": [] if scores is None else _flagged(scores),
        "set_aside": inbox.aside(),
        "round_file": ROUND,
        "scores": [] if scores is None else [SCORES, TABLE],
        "model": made if status == AGGREGATED else None,
        "notes": notes,
        "warnings": warnings,
    }
    atomic_bytes(folder / VERDICT, (json_text(document) + "\n").encode(), force=True)
    model = f"{folder.name}/{made}" if status == AGGREGATED else state.model
    return Verdict(document, model, clock.seconds)


def _dump(job: Job, state: State, inbox: Inbox, base: Path | None) -> Sequence[str]:
    """Write the round file; its warnings."""
    files = [inbox.taken / name for name in state.files]
    try:
        done = dump(
            files,
            job.folder(state.round) / ROUND,
            None if job.updates_sent else base,
            job.differences,
            Selection(include=job.judging.include, exclude=job.judging.exclude),
            output_layer=job.judging.output_layer,
            label_axis=job.judging.label_axis,
            round_number=state.round,
            max_bytes=job.max_bytes,
            force=True,
            gradients=job.gradients,
        )
    except InputError as error:
        raise UnreadableError(str(error)) from None
    return done.warnings


def _finite(scores: Scores | None) -> float | None:
    """The threshold, where there is one."""
    return scores.threshold if scores is not None and math.isfinite(scores.threshold) else None


def _flagged(scores: Scores) -> list[str]:
    return [name for name, keep in zip(scores.clients, scores.keep, strict=True) if not keep]


class _Phases:
    """Seconds between one call and the next."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def done(self, phase: str) -> None:
        now = time.monotonic()
        self.seconds[phase], self._last = round(now - self._last, 3), now
