"""Engines on this machine: one after the other, or in processes of joblib's."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from lomar_cli.engine.base import Calls, added, unheard
from lomar_cli.engine.leash import Unwanted, leashed
from lomar_cli.errors import LomarError

T = TypeVar("T")


class _Here:
    """What engines on this machine have in common: storage and data need no check."""

    remote = False

    def __init__(self, workers: int, where: str, note: Callable[[str], None]) -> None:
        self.workers, self.beside, self.where, self.note = workers, workers, where, note

    def everywhere(self, function: Callable[..., T], *args: Any) -> dict[str, T | BaseException]:
        return {}


class Serial(_Here):
    """One call after the other, in this process."""

    def __init__(self, note: Callable[[str], None] = unheard) -> None:
        super().__init__(1, "this process", note)

    def unordered(
        self,
        function: Callable[..., T],
        calls: Calls,
        killed: Callable[..., T] | None = None,
        ahead: int | None = None,
    ) -> Iterator[T]:
        return itertools.starmap(function, calls)

    def ordered(
        self, function: Callable[..., T], calls: Calls, ahead: int | None = None
    ) -> Iterator[T]:
        return itertools.starmap(function, calls)

    def total(self, function: Callable[..., T], calls: Calls, add: Callable[[T, T], T]) -> T:
        return added(self.ordered(function, calls), add)


class Processes(_Here):
    """``workers`` calls at once, each in a process of its own."""

    def __init__(self, workers: int, note: Callable[[str], None] = unheard) -> None:
        super().__init__(workers, f"{workers} processes", note)

    def unordered(
        self,
        function: Callable[..., T],
        calls: Calls,
        killed: Callable[..., T] | None = None,
        ahead: int | None = None,
    ) -> Iterator[T]:
        left: dict[int, tuple[Any, ...]] = {}

        def noted() -> Iterator[tuple[int, tuple[Any, ...]]]:
            for place, call in enumerate(calls):
                left[place] = call
                yield place, call

        work = noted()
        while True:
            try:
                for place, result in self._pool(function, work, "generator_unordered"):
                    del left[place]
                    yield result
            except BrokenProcessPool:
                # A process was killed, for its memory most likely: find out whose, one at a time
                # among those that had been begun; then go on with the rest.
                for place, call in sorted(left.items()):
                    yield self._alone(function, place, call, killed)
                left.clear()
            else:
                return

    def _alone(
        self,
        function: Callable[..., T],
        place: int,
        call: tuple[Any, ...],
        killed: Callable[..., T] | None,
    ) -> T:
        try:
            ((_, result),) = self._pool(function, [(place, call)], "generator")
        except BrokenProcessPool:
            if killed is None:
                raise _killed() from None
            return killed(*call)
        return result

    def ordered(
        self, function: Callable[..., T], calls: Calls, ahead: int | None = None
    ) -> Iterator[T]:
        try:
            for _, result in self._pool(function, enumerate(calls), "generator"):
                yield result
        except BrokenProcessPool:
            raise _killed() from None

    def total(self, function: Callable[..., T], calls: Calls, add: Callable[[T, T], T]) -> T:
        return added(self.ordered(function, calls), add)

    def _pool(self, function: Callable[..., T], calls: Any, how: str) -> Iterator[tuple[int, T]]:
        from joblib import Parallel, delayed

        # Never one process: joblib would make the call in this one, and die with it.
        count = max(2, self.workers)
        pool = Parallel(n_jobs=count, return_as=how, batch_size=1)
        parent = os.getpid()
        yield from pool(delayed(_called)(place, function, call, parent) for place, call in calls)


def _called(
    place: int, function: Callable[..., T], call: tuple[Any, ...], parent: int
) -> tuple[int, T]:
    """A call in a process of its own, which ends with the process that asked for it."""
    try:
        with leashed(lambda: os.getppid() == parent):
            return place, function(*call)
    except Unwanted:
        raise SystemExit(1) from None


def _killed() -> LomarError:
    return LomarError("a process was killed; was there too little memory? try fewer --jobs")
