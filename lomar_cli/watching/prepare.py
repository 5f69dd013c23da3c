"""Before the watch: are the folders fit for it, are the options, and is nobody else there?"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from lomar_cli.errors import InputError, LomarError, UsageError
from lomar_cli.files.buffers import find_buffers
from lomar_cli.files.importers.registry import read_parameters
from lomar_cli.files.lock import holding
from lomar_cli.files.output_layer import resolve_output
from lomar_cli.files.text import printable
from lomar_cli.scoring.registry import METHODS
from lomar_cli.stages.held import check_gradients
from lomar_cli.stages.recipe import Recipe
from lomar_cli.stages.weights import WEIGHTS
from lomar_cli.watching.inbox import OWN, check_moves
from lomar_cli.watching.job import KEEPS, Job
from lomar_cli.watching.judge import method_options
from lomar_cli.watching.prometheus import check_prometheus
from lomar_cli.watching.state import NAME

_LOCK = "lock"


def check_job(job: Job) -> None:
    """UsageError for options that would fail later, when nobody looks."""
    judging = job.judging
    METHODS.make(judging.method, method_options(judging))
    Recipe.make(judging.rule, judging.pre, judging.rule_options, judging.assume_malicious)
    if judging.weights_by not in WEIGHTS:
        raise UsageError(f"--weights {judging.weights_by}: must be one of {', '.join(WEIGHTS)}")
    if job.keep not in KEEPS:
        raise UsageError(f"--keep-files {job.keep}: must be one of {', '.join(KEEPS)}")
    check_gradients(job.gradients)
    if job.differences and job.gradients is not None:
        raise UsageError("--differences and --gradients: the files hold one or the other")
    if job.base_model is None and not job.updates_sent:
        raise UsageError(
            "say what the files hold: --base-model FILE when they are trained parameters, "
            "--differences when they are updates already, or --gradients LEARNING_RATE (with "
            "--base-model as well, they are added to that model)"
        )
    if job.least > job.expect:
        raise UsageError(f"--least {job.least}: is more than --expect {job.expect}")
    if job.client_pattern is not None:
        try:
            re.compile(job.client_pattern)
        except re.error as error:
            raise UsageError(
                f"--client-pattern {printable(job.client_pattern)}: is no regular expression "
                f"({error})"
            ) from None
    if job.hook and shutil.which(job.hook[0]) is None:
        raise UsageError(f"--exec {printable(job.hook[0])}: there is no such program")
    if job.prometheus is not None:
        check_prometheus(job.prometheus)
    if not job.metrics_file.parent.is_dir() and job.metrics is not None:
        shown = printable(str(job.metrics))
        raise UsageError(f"--metrics {shown}: there is no such folder; make it first")


def check_model(job: Job) -> None:
    """UsageError when the base model's output layer cannot be told, before a round has to wait."""
    if job.base_model is None:
        return
    found = read_parameters(job.base_model, job.max_bytes)
    buffers = find_buffers(found.types, job.judging.include, job.judging.exclude)
    shapes = {name: array.shape for name, array in found.arrays.items() if name not in buffers}
    resolve_output(shapes, job.judging.output_layer, job.judging.label_axis)


@contextlib.contextmanager
def held(job: Job) -> Iterator[None]:
    """Make the folders ready and hold both: a second watcher on either ends in one line."""
    incoming, verdicts = job.incoming, job.verdicts
    shown, out = printable(str(incoming)), printable(str(verdicts))
    if not incoming.is_dir():
        raise InputError(f"{shown}: there is no such folder; make it first")
    if verdicts.exists() and not verdicts.is_dir():
        raise UsageError(f"{out}: is a file; name a folder for -o")
    if not verdicts.parent.is_dir():
        raise UsageError(f"{out}: there is no folder {printable(str(verdicts.parent))}; make it")
    if verdicts.resolve().is_relative_to(incoming.resolve()):
        raise UsageError(f"{out}: lies in {shown}, where it would pass for a client's; move it")
    verdicts.mkdir(exist_ok=True)
    if not (verdicts / NAME).exists() and any(
        not entry.name.startswith(".") for entry in verdicts.iterdir()
    ):
        raise UsageError(f"{out}: is not empty and no watcher's; name another folder for -o")
    check_moves(incoming)
    with _alone(incoming / OWN / _LOCK, shown), _alone(verdicts / f".{_LOCK}", out):
        yield


@contextlib.contextmanager
def _alone(path: Path, shown: str) -> Iterator[None]:
    path.touch()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(holding(path, exclusive=True, patience=0.0))
        except TimeoutError:
            raise LomarError(
                f"{shown}: another lomar watch is at work there; stop that one first"
            ) from None
        yield
