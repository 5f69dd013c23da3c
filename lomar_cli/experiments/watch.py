"""How far cells in other processes are, read from what they leave on disk."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lomar_cli.experiments.plan import Cell

_SECONDS = 1.0


@contextlib.contextmanager
def watched(
    cells: Sequence[Cell], results: Path, advance: Callable[[int], None]
) -> Iterator[Callable[[Cell], None]]:
    """Tell ``advance`` of every round that the cells do; yield what to call when one ends."""
    watch = _Watch(cells, results, advance)
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(_SECONDS):
            watch.look()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch.ended
    finally:
        stop.set()
        thread.join()


class _Watch:
    def __init__(
        self, cells: Sequence[Cell], results: Path, advance: Callable[[int], None]
    ) -> None:
        self.results, self.advance = results, advance
        self.open = {cell.key: 0 for cell in cells}
        self.lock = threading.Lock()

    def look(self) -> None:
        with self.lock:
            for key in self.open:
                self._say(key, _rounds(self.results / "work" / key / "state.json"))

    def ended(self, cell: Cell) -> None:
        """A cell that ended has done all its rounds, or never will: both are out of the way."""
        with self.lock:
            self._say(cell.key, cell.rounds)
            del self.open[cell.key]

    def _say(self, key: str, rounds: int) -> None:
        if rounds > self.open[key]:
            self.advance(rounds - self.open[key])
            self.open[key] = rounds


def _rounds(state: Path) -> int:
    try:
        return int(json.loads(state.read_bytes())["round"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
