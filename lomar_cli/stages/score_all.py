"""Judge the clients of a round by every method that can, over the same distances."""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lomar_cli.errors import LomarError, NotLoadedError, OutputExistsError, UsageError
from lomar_cli.files.round import DEFAULT_MEMORY, Paths, open_rounds
from lomar_cli.files.scores import FORMATS, SCHEMA_VERSION, Scores, as_document, write_scores
from lomar_cli.files.text import printable
from lomar_cli.scoring.base import Method
from lomar_cli.scoring.options import assumed
from lomar_cli.scoring.registry import METHODS
from lomar_cli.stages.context import open_context
from lomar_cli.stages.gather import Gather, adder_on
from lomar_cli.stages.groups import kinds_of, read_kinds
from lomar_cli.stages.score import screened_round, table
from lomar_cli.threads import one_blas_thread

if TYPE_CHECKING:
    from lomar_cli.stages.holdout import HeldOut

ALL = "all"


@dataclass(frozen=True)
class Outcome:
    """One method's scores, or why it does not apply to this round (then ``scores`` is None).

    ``seconds`` include the shared distances for the first method that needs them, and waiting for
    them for those that run beside it.
    """

    method: str
    scores: Scores | None
    not_applicable: str
    seconds: float


def score_all(
    paths: Paths,
    folder: Path | None = None,
    options: dict[str, Any] | None = None,
    layers: Sequence[str] | None = None,
    kind: str | None = None,
    memory: int = DEFAULT_MEMORY,
    jobs: int = 1,
    force: bool = False,
    seed: int = 0,
    history: Sequence[Path] = (),
    root: Path | None = None,
    held_out: HeldOut | None = None,
    base_model: Path | None = None,
    groups: Path | None = None,
    device: str = "cpu",
) -> list[Outcome]:
    """Judge the round in ``paths``, one file or several, by every method.

    ``folder``/METHOD.h5 is written for each if it is given.

    Each option goes to the methods that take it. A method that cannot work on this round does not
    apply; an option that no method can read is an error all the same. ``jobs`` threads share the
    methods, without changing a number.
    """
    options = {name: value for name, value in (options or {}).items() if value is not None}
    _check_options(options)
    known = read_kinds(groups, options)
    made: dict[str, Method] = {}
    unloadable: dict[str, str] = {}
    for name in METHODS.names():
        try:
            made[name] = METHODS.make(name, options, strict=False)
        except NotLoadedError as error:
            unloadable[name] = str(error)
    kind = kind or "h5"
    if folder is not None:
        _check_folder(folder, list(made), kind, force)
    adder = adder_on(device)
    gather = Gather(layers, memory, jobs, adder) if groups is None else None
    with (
        open_rounds(paths, memory, consumer=gather) as found,
        open_context(found, history, root, memory) as beside,
    ):
        assumed(options.get("assume_malicious"), len(found.head.clients))
        screened = screened_round(
            found, beside, layers, memory, jobs, seed, held_out, base_model, adder, gather
        )
        kinds = kinds_of(known, found.head.clients, beside.inputs)
        screened = screened.in_groups(kinds, keep=True)

        def one(name: str) -> Outcome:
            start = time.perf_counter()
            scores, reason = None, ""
            try:
                method = made[name]
                judged = screened.judge(method)
                scores = table(found, name, method, judged, layers, seed, beside.inputs, kinds)
            except LomarError as error:
                reason = str(error)
            except (OSError, MemoryError):
                raise
            except Exception as error:
                # Another package's, perhaps: it takes no verdict of the others along.
                reason = f"it failed ({type(error).__name__}: {printable(str(error), 200)})"
            return Outcome(name, scores, reason, time.perf_counter() - start)

        # Held to one thread out here: a method that ends must not free the others' products. SciPy
        # brings a BLAS of its own, which has to be there by now to be held.
        importlib.import_module("scipy.linalg")
        with one_blas_thread(), ThreadPoolExecutor(jobs) as pool:
            outcomes = list(pool.map(one, made))
        outcomes += [Outcome(name, None, reason, 0.0) for name, reason in unloadable.items()]
    if folder is not None:
        folder.mkdir(exist_ok=True)
        for outcome in outcomes:
            written = folder / f"{outcome.method}.{kind}"
            if outcome.scores is not None:
                write_scores(written, outcome.scores, kind, force)
            else:
                # One that is there (-f) is of another round, and must not pass for this one's.
                written.unlink(missing_ok=True)
    return outcomes


def document(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What ``lomar score --method all --json`` prints."""
    return {
        "schema_version": SCHEMA_VERSION,
        "methods": [
            as_document(outcome.scores)
            if outcome.scores is not None
            else {"method": outcome.method, "not_applicable": outcome.not_applicable}
            for outcome in outcomes
        ],
    }


def _check_options(options: dict[str, Any]) -> None:
    known = {option for name in METHODS.names() for option in METHODS.options(name)}
    for name in options:
        if name not in known:
            raise UsageError(f"--{name.replace('_', '-')}: no method has such an option")


def _check_folder(folder: Path, methods: Sequence[str], kind: str, force: bool) -> None:
    shown = printable(str(folder))
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{shown}: is a file; --method all writes a folder, a file a method")
    if not folder.exists():
        if folder.suffix.lstrip(".") in FORMATS:
            raise UsageError(
                f"{shown}: --method all writes a folder, a file a method; name a folder for -o"
            )
        if not folder.parent.is_dir():
            raise UsageError(
                f"{shown}: there is no folder {printable(str(folder.parent))}; make it first"
            )
    there = [name for name in methods if (folder / f"{name}.{kind}").exists()]
    if there and not force:
        raise OutputExistsError(
            f"{shown}: {there[0]}.{kind} exists already; use -f to replace it, or another -o"
        )
