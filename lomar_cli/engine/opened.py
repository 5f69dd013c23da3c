"""Open the engine that ``--cluster`` and ``--jobs`` ask for."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator

from lomar_cli.engine.base import Engine
from lomar_cli.engine.local import Processes, Serial
from lomar_cli.errors import UsageError

LOCAL = "local"


@contextlib.contextmanager
def open_engine(cluster: str | None, jobs: int = 1) -> Iterator[Engine]:
    """The engine for ``--cluster`` (None: this machine, ``jobs`` calls at once), closed at the end.

    ``cluster`` is the address of a Dask scheduler (``tcp://host:8786``), a scheduler file
    (``.json``), or ``local`` or ``local:4``: worker processes of its own on this machine.
    Raises UsageError for what is no such thing or without Dask, LomarError where there is no
    scheduler, no worker, or a worker that runs another lomar_cli.
    """
    if cluster is None:
        yield local_engine(jobs)
        return
    if importlib.util.find_spec("distributed") is None:
        raise UsageError("--cluster: needs Dask: pip install 'lomar-cli[cluster]'")
    from lomar_cli.engine.dask_open import foreign, own

    name, _, number = cluster.partition(":")
    if name != LOCAL:
        with foreign(cluster) as engine:
            yield engine
        return
    if number and not (number.isdecimal() and 1 <= int(number) <= 1024):
        raise UsageError(f"--cluster {cluster}: must be local or local:N with N workers, 1 to 1024")
    if ":" in cluster and not number:
        raise UsageError(f"--cluster {cluster}: how many workers? local:4, or local for one a core")
    with own(int(number) if number else jobs) as engine:
        yield engine


def local_engine(jobs: int) -> Engine:
    """The engine of this machine: in this process, or in ``jobs`` processes."""
    return Serial() if jobs == 1 else Processes(jobs)
