"""One item is got while the one before it is used: no more, no fewer, in order."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from lomar_cli.files.stretches import ahead


def test_same_items_by_another_thread() -> None:
    threads: set[int] = set()

    def numbers() -> Iterator[int]:
        for number in range(5):
            threads.add(threading.get_ident())
            yield number

    assert list(ahead(numbers())) == [0, 1, 2, 3, 4]
    assert threading.get_ident() not in threads
    assert list(ahead(iter(()))) == []


def test_empty_items_are_items() -> None:
    assert list(ahead(iter([None, 0, ""]))) == [None, 0, ""]


def test_no_more_than_one_ahead() -> None:
    got: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(9):
            got.append(number)
            yield number

    with contextlib.closing(ahead(numbers())) as items:
        for number in items:
            assert len(got) <= number + 2
            if number == 3:
                break
    assert len(got) <= 5
    assert not [t for t in threading.enumerate() if t.name.startswith("lomar-ahead")]


def test_failure_comes_in_its_place() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    items = ahead(numbers())
    assert next(items) == 1
    with pytest.raises(ValueError, match="the second"):
        next(items)
