"""What every engine offers, and sums that do not depend on who finishes first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Calls = Iterable[tuple[Any, ...]]


def unheard(message: str) -> None:
    """Takes warnings that nobody wants to hear."""


class Engine(Protocol):
    """Works off calls of one function; the same results whichever engine it is.

    Functions must be importable by name (no lambda, nothing nested), as other processes call them,
    and arguments small: workers read what is large from storage. Paths must be absolute. A function
    that raises ends the whole; whoever wants to go on returns its failures.

    ``workers`` is how many calls run at once, ``where`` says it in words. ``remote`` is true when
    calls run elsewhere, so that storage and data have to be checked (``checks``). ``beside`` is how
    many workers share this machine's memory. ``note`` takes a warning for a person.
    """

    workers: int
    where: str
    remote: bool
    beside: int
    note: Callable[[str], None]

    def unordered(
        self,
        function: Callable[..., T],
        calls: Calls,
        killed: Callable[..., T] | None = None,
        ahead: int | None = None,
    ) -> Iterator[T]:
        """Yield ``function(*call)`` for each call as it is done, in any order, each once.

        A call whose process died is made again. If that happens again and again, its result is
        ``killed(*call)``, called here; without ``killed`` it is a LomarError. ``ahead`` is how many
        calls may be under way or wait to be taken (default: two a worker); on this machine it is
        always two a worker.
        """
        ...

    def ordered(
        self, function: Callable[..., T], calls: Calls, ahead: int | None = None
    ) -> Iterator[T]:
        """Yield ``function(*call)`` for each call, in the calls' order."""
        ...

    def total(self, function: Callable[..., T], calls: Calls, add: Callable[[T, T], T]) -> T:
        """All results, added up by ``add`` where they are made; ValueError without any call.

        Results are added in pairs, the pairs in pairs and so on, in the calls' order: sums of
        floating-point numbers are the same on every engine. ``add`` must not change its arguments.
        """
        ...

    def everywhere(self, function: Callable[..., T], *args: Any) -> dict[str, T | BaseException]:
        """``function(*args)``, or what it raised, by worker; nothing when not ``remote``."""
        ...


def added(results: Iterable[T], add: Callable[[T, T], T]) -> T:
    """Add results up as ``Engine.total`` has it, holding no more than log2(n) + 1 of them."""
    # Partial sums of 2**level results each, levels falling: a binary counter.
    partial: list[tuple[int, T]] = []
    for result in results:
        level = 0
        while partial and partial[-1][0] == level:
            result = add(partial.pop()[1], result)
            level += 1
        partial.append((level, result))
    if not partial:
        raise ValueError("nothing to add up")
    _, whole = partial.pop()
    while partial:
        whole = add(partial.pop()[1], whole)
    return whole
