"""A geometry whose distances are made elsewhere, by workers that read a round block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.updates import Tensor, Updates
from lomar_cli.scoring.geometry import Floats, Geometry, Part
from lomar_cli.scoring.middle import Course
from lomar_cli.scoring.sums import Sums, Wanted

T = TypeVar("T")


class Workers(Protocol):
    """Whoever makes sums over the parameters of a round, of its clients ``rows``, ascending."""

    def whole(self, wanted: Wanted, rows: NDArray[np.intp]) -> Sums: ...

    def labels(self, labels: Iterable[int], rows: NDArray[np.intp]) -> Iterator[Floats]:
        """The squared distances within each label's parameters, one label after another."""
        ...


class FarGeometry(Geometry):
    """Asks ``workers`` for everything that is summed over parameters; holds n x n numbers alone.

    ``rows`` (n,) are the clients of the round that ``updates`` holds. With ``course`` the first
    reading of the round makes that too, for the methods that will ask for it.
    """

    def __init__(
        self,
        updates: Updates,
        rows: NDArray[np.intp],
        workers: Workers,
        memory: int,
        jobs: int = 1,
        course: bool = False,
    ) -> None:
        super().__init__(updates, memory, jobs)
        self.workers, self.places = workers, rows
        self._with_course = course

    @cached_property
    def squares(self) -> Floats:
        made = self.workers.whole(Wanted(course=self._with_course), self.places)
        if made.course is not None:
            # A cached property that has its value now.
            self.__dict__["course"] = made.course.finish()
        return made.squares

    @cached_property
    def course(self) -> Course:
        if self._with_course and "squares" not in self.__dict__:
            # Read once for both.
            _ = self.squares
            found: Course = self.__dict__["course"]
            return found
        return _course(self.workers, self.places)

    @cached_property
    def norms(self) -> NDArray[np.float64]:
        return self.course.lengths

    def block_squares(self, label: int) -> Floats:
        if self.updates.output is None:
            return self.squares
        if label not in self._blocks:
            (made,) = self.workers.labels([label], self.places)
            self.keep(label, made)
            return made
        return self._blocks[label]

    def each_block(self, function: Callable[[int, Floats], T]) -> list[T]:
        labels = range(self.updates.label_count)
        if self.updates.output is None or self._blocks:
            return [function(label, self.block_squares(label)) for label in labels]
        found = []
        made = self.workers.labels(labels, self.places)
        for label, squares in zip(labels, made, strict=True):
            self.keep(label, squares)
            found.append(function(label, squares))
        return found

    def part(self, rows: NDArray[np.intp]) -> Geometry:
        return _FarPart(self, rows)


class _FarPart(Part):
    """Some of these clients: where they point depends on who is there, and is summed anew."""

    def __init__(self, whole: FarGeometry, rows: NDArray[np.intp]) -> None:
        super().__init__(whole, rows)
        self._workers, self._places = whole.workers, whole.places[rows]

    @cached_property
    def course(self) -> Course:
        return _course(self._workers, self._places)


def _course(workers: Workers, rows: NDArray[np.intp]) -> Course:
    """The course of clients in whatever order; workers take them as the round has them."""
    made = workers.whole(Wanted(squares=False, course=True), np.sort(rows)).course
    assert made is not None
    return made.finish().rows(np.argsort(np.argsort(rows)))


class Held:
    """A tensor that is read from its files once, when a part of it is first asked for."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor
        self.shape, self.dtype = tensor.shape, tensor.dtype

    @cached_property
    def _whole(self) -> NDArray[Any]:
        return np.asarray(self._tensor[:])

    def __getitem__(self, key: Any) -> Any:
        return self._whole[key]
