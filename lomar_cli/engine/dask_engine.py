"""Calls as tasks on a Dask cluster. Dask schedules them, and makes them again after a death."""

from __future__ import annotations

import queue
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from distributed import Client, Future, KilledWorker

from lomar_cli.engine.base import Calls, added, unheard
from lomar_cli.engine.build import this_build
from lomar_cli.engine.called import called
from lomar_cli.errors import LomarError

T = TypeVar("T")
# How long calls wait for a worker when there is none: a queue may be starting new ones.
PATIENCE = 60.0
_LOOK = 1.0


class Dask:
    """An engine on the cluster that ``client`` is connected to (``dask_open``)."""

    remote = True

    def __init__(
        self, client: Client, where: str, beside: int, note: Callable[[str], None] = unheard
    ) -> None:
        self.client, self.where, self.patience, self.note = client, where, PATIENCE, note
        self.workers = max(1, len(client.nthreads()))
        self.beside = beside
        self._idle_since: float | None = None

    def unordered(
        self,
        function: Callable[..., T],
        calls: Calls,
        killed: Callable[..., T] | None = None,
        ahead: int | None = None,
    ) -> Iterator[T]:
        submit, work = self._submitter(function), iter(calls)
        ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        left: dict[Any, tuple[Future, tuple[Any, ...]]] = {}
        again: list[tuple[Any, ...]] = []
        window = ahead or 2 * self.workers
        while True:
            while len(left) < window and (call := next(work, None)) is not None:
                future = submit(*call)
                left[future.key] = future, call
                future.add_done_callback(ended.put)
            if not left:
                break
            future, call = left.pop(self._next(ended).key)
            try:
                yield self._result(future)
            except KilledWorker as error:
                if killed is None:
                    raise _killed(error) from None
                # Whose fault it was shows only when it is alone: others die with their worker.
                again.append(call)
            future.release()
        for call in again:
            future = submit(*call)
            try:
                yield self._result(future)
            except KilledWorker as error:
                if killed is None:
                    raise _killed(error) from None
                yield killed(*call)

    def ordered(
        self, function: Callable[..., T], calls: Calls, ahead: int | None = None
    ) -> Iterator[T]:
        submit, work = self._submitter(function), iter(calls)
        waiting: deque[Future] = deque()
        window = ahead or 2 * self.workers
        while True:
            while len(waiting) < window and (call := next(work, None)) is not None:
                waiting.append(submit(*call))
            if not waiting:
                return
            future = waiting.popleft()
            try:
                yield self._result(future)
            except KilledWorker as error:
                raise _killed(error) from None
            future.release()

    def total(self, function: Callable[..., T], calls: Calls, add: Callable[[T, T], T]) -> T:
        # Dask does first what was asked for first: sums are made as soon as they can be, and few
        # results wait to be added.
        submit, plus = self._submitter(function), self._submitter(add)
        whole = added((submit(*call) for call in calls), plus)
        try:
            result: T = self._result(whole)
            return result
        except KilledWorker as error:
            raise _killed(error) from None

    def everywhere(self, function: Callable[..., T], *args: Any) -> dict[str, T | BaseException]:
        found: dict[str, T | BaseException] = self.client.run(function, *args, on_error="return")
        return found

    def _submitter(self, function: Callable[..., Any]) -> Callable[..., Future]:
        """Submits calls of ``function``; keys of their own, as no result is anybody else's."""
        name, run, build = getattr(function, "__name__", "call"), uuid.uuid4().hex[:8], this_build()
        number = iter(range(2**62))

        def submit(*call: Any) -> Future:
            key = (f"{name}-{run}", next(number))
            return self.client.submit(called, build, function, *call, key=key, pure=False)

        return submit

    def _next(self, ended: queue.SimpleQueue[Future]) -> Future:
        while True:
            try:
                return ended.get(timeout=_LOOK)
            except queue.Empty:
                self._look()

    def _wait(self, future: Future) -> None:
        ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        future.add_done_callback(ended.put)
        self._next(ended)

    def _result(self, future: Future) -> Any:
        """What the call returned, once it has; raises what it raised."""
        # A result whose worker died before it was taken is lost, and made again.
        while future.status in ("pending", "lost"):
            self._wait(future)
        if future.status == "cancelled":
            raise self._gone()
        try:
            return future.result()
        except CancelledError:
            raise self._gone() from None

    def _look(self) -> None:
        """Give up once there has been no worker for long: calls would wait for ever."""
        try:
            workers = self.client.nthreads()
        except (OSError, RuntimeError):
            raise self._gone() from None
        if workers:
            self._idle_since = None
            return
        now = time.monotonic()
        self._idle_since = self._idle_since or now
        if now - self._idle_since > self.patience:
            raise LomarError(
                f"{self.where}: no worker is left since {self.patience:.0f} s; start workers and "
                "run the same command again"
            )

    def _gone(self) -> LomarError:
        return LomarError(
            f"{self.where}: the scheduler is gone; what was written stays: run the same command "
            "again, there, on another cluster or without --cluster"
        )


def _killed(error: KilledWorker) -> LomarError:
    worker = getattr(error.last_worker, "address", "unknown")
    return LomarError(
        f"workers died again and again at the same call, last {worker}; have they too little "
        "memory?"
    )
