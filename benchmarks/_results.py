"""A results file that grows by whole lines and is gone on with: CSV, a row a cell and method."""

from __future__ import annotations

import csv
import io
import lzma
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lomar_cli.files.atomic import atomic_bytes
from lomar_cli.files.lock import locked

Row = dict[str, str]


class Results:
    """``keys`` are the columns that name a row, ``values`` the measured ones."""

    def __init__(self, path: Path, keys: Sequence[str], values: Sequence[str]) -> None:
        self.path, self.keys, self.columns = path, tuple(keys), [*keys, *values]

    def read(self) -> list[Row]:
        """All whole rows; a line that a killed run left unfinished is passed over.

        A file that was packed (.xz) can be read, not gone on with.
        """
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        text = (lzma.decompress(content) if self.path.suffix == ".xz" else content).decode()
        whole = text[: text.rfind("\n") + 1]
        rows = list(csv.DictReader(io.StringIO(whole)))
        if whole and next(csv.reader(io.StringIO(whole))) != self.columns:
            raise SystemExit(f"{self.path}: has other columns; name another file with -o")
        return rows

    def done(self) -> set[tuple[str, ...]]:
        return {self.key(row) for row in self.read()}

    def key(self, row: Row) -> tuple[str, ...]:
        return tuple(row[name] for name in self.keys)

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows in one write, also from several processes."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writerows(rows)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.path.with_suffix(".lock")), self.path.open("ab+") as stream:
            size = stream.seek(0, os.SEEK_END)
            head = "" if size else ",".join(self.columns) + "\n"
            if size:
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":
                    self._cut(stream.fileno())
            stream.write((head + text.getvalue()).encode())
            stream.flush()
            os.fsync(stream.fileno())

    def drop(self, column: str, values: Iterable[str]) -> None:
        """Forget the rows with these values, to be made anew."""
        gone = set(values)
        kept = [row for row in self.read() if row[column] not in gone]
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        atomic_bytes(self.path, text.getvalue().encode(), force=True)

    def _cut(self, handle: int) -> None:
        """Take off an unfinished last line."""
        content = self.path.read_bytes()
        os.ftruncate(handle, content.rfind(b"\n") + 1)


def write(path: Path, rows: Sequence[Row]) -> None:
    """Rows of one kind as a file of their own."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["method"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_bytes(path, text.getvalue().encode(), force=True)


def over(how: Callable[[list[float]], float], rows: Sequence[Row], column: str) -> str:
    """A column's numbers as one, where there are any."""
    values = [float(row[column]) for row in rows if row[column]]
    return f"{how(values):.3f}" if values else ""
