"""What runs in a Dask worker around every call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from lomar_cli.engine.build import Build, this_build
from lomar_cli.engine.leash import Unwanted, leashed
from lomar_cli.errors import LomarError

T = TypeVar("T")

# One call at a time in a process, however many threads the worker has: the number of BLAS and
# torch threads, which results depend on, is a property of the process.
_alone = threading.Lock()


def called(build: Build, function: Callable[..., T], *args: Any) -> T | None:
    """``function(*args)``, if this worker runs the package that the caller runs.

    Those that were there at the start have been asked; one may have come later.
    """
    with _alone:
        own = this_build()
        if (own.version, own.code) != (build.version, build.code):
            raise LomarError(f"{_name()} runs {own.package}, this is {build.package}")
        try:
            with leashed(_wanted):
                return function(*args)
        except Unwanted:
            # Whoever wanted it is gone, and Dask drops the result.
            return None


def _name() -> str:
    from distributed import get_worker

    return f"worker {get_worker().address}"


def _wanted() -> bool:
    """False once Dask has cancelled this call, or this worker has lost its scheduler."""
    from distributed import Status, get_worker

    worker = get_worker()
    if worker.status not in (Status.running, Status.paused, Status.closing_gracefully):
        return False
    task = worker.state.tasks.get(worker.get_current_task())
    return task is not None and task.state != "cancelled"
