"""The engine that ``--cluster`` and ``--jobs`` ask for, and what a person hears of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lomar_cli.cli.console import say, warn
from lomar_cli.cli.options import default_jobs

if TYPE_CHECKING:
    from lomar_cli.engine.base import Engine


@contextlib.contextmanager
def engine(cluster: str | None, jobs: int | None, most: int | None = None) -> Iterator[Engine]:
    """The engine for these options, closed at the end; no more than ``most`` processes here."""
    from lomar_cli.engine.opened import is_local, open_engine
    from lomar_cli.errors import UsageError

    if cluster is not None and jobs is not None and not is_local(cluster):
        raise UsageError(
            f"--jobs {jobs}: with --cluster {cluster} the cluster has its own workers; leave it out"
        )
    count = default_jobs(jobs)
    if most is not None:
        count = min(count, max(1, most))
    with open_engine(cluster, count, warn) as opened:
        if opened.remote:
            say(f"on {opened.where}")
        yield opened
