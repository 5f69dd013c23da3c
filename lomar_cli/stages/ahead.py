"""Get the next item while the current one is worked on."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")


def one_ahead(items: Iterator[_Item]) -> Generator[_Item, None, None]:
    """The same items in the same order, each got by a thread while its predecessor is used.

    What fails there is raised in place of the item. Two items are in memory at a time. Close it,
    or use it up, so that the thread ends.
    """
    with ThreadPoolExecutor(1, "lomar-one-ahead") as pool:
        coming = pool.submit(_next, items)
        while found := coming.result():
            coming = pool.submit(_next, items)
            yield found[0]


def _next(items: Iterator[_Item]) -> tuple[_Item] | None:
    for item in items:
        return (item,)
    return None
