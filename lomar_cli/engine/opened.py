"""Open the engine that ``--cluster`` and ``--jobs`` ask for."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator

from lomar_cli.engine.base import Engine, unheard
from lomar_cli.engine.local import Processes, Serial
from lomar_cli.errors import UsageError

LOCAL = "local"


@contextlib.contextmanager
def open_engine(
    cluster: str | None, jobs: int = 1, note: Callable[[str], None] = unheard
) -> Iterator[Engine]:
    """The engine for ``--cluster`` (None: this machine, ``jobs`` calls at once), closed at the end.

    ``cluster`` is the address of a Dask scheduler (``tcp://host:8786``), a scheduler file
    (``.json``), or ``local`` or ``local:4``: worker processes of its own on this machine (default:
    ``jobs``). ``note`` hears warnings.
    Raises UsageError for what is no such thing or without Dask, LomarError where there is no
    scheduler, no worker, or a worker that runs another lomar_cli.
    """
    if cluster is None:
        yield local_engine(jobs, note)
        return
    if importlib.util.find_spec("distributed") is None:
        raise UsageError("--cluster: needs Dask: pip install 'lomar-cli[cluster]'")
    from lomar_cli.engine.dask_open import foreign, own

    if not is_local(cluster):
        with foreign(cluster, note) as engine:
            yield engine
        return
    _, colon, number = cluster.partition(":")
    if colon and not (number.isdecimal() and 1 <= int(number) <= 1024):
        raise UsageError(f"--cluster {cluster}: must be local or local:N with N workers, 1 to 1024")
    with own(int(number) if colon else jobs, note) as engine:
        yield engine


def is_local(cluster: str) -> bool:
    """True for ``local`` and ``local:N``."""
    return cluster.partition(":")[0] == LOCAL


def local_engine(jobs: int, note: Callable[[str], None] = unheard) -> Engine:
    """The engine of this machine: in this process, or in ``jobs`` processes."""
    return Serial(note) if jobs == 1 else Processes(jobs, note)
