"""Score tables: a row a client, as HDF5, CSV, TSV or JSON (``docs/format.md``, lomar/scores)."""

from __future__ import annotations

import sys
from pathlib import Path

from lomar_cli.errors import InputError, UsageError
from lomar_cli.files import h5
from lomar_cli.files.atomic import atomic_bytes
from lomar_cli.files.score_h5 import read_h5, write_h5
from lomar_cli.files.score_table import FIXED, GROUP, WEIGHT, Scores
from lomar_cli.files.score_text import (
    MAX_TEXT_BYTES,
    SCHEMA_VERSION,
    as_document,
    parse_scores,
    render,
)
from lomar_cli.files.text import printable

__all__ = [
    "FIXED",
    "FORMATS",
    "GROUP",
    "SCHEMA_VERSION",
    "WEIGHT",
    "Scores",
    "as_document",
    "format_of",
    "parse_scores",
    "read_scores",
    "render",
    "write_scores",
]
FORMATS = ("h5", "csv", "tsv", "json")


def format_of(path: Path) -> str:
    """The format that a file's ending asks for."""
    ending = path.suffix.lower().lstrip(".")
    if ending in ("hdf5", "h5"):
        return "h5"
    if ending in FORMATS:
        return ending
    raise UsageError(
        f"{printable(str(path))}: scores are written as {', '.join(FORMATS)}; "
        "use one of these endings, or --format"
    )


def write_scores(path: Path, scores: Scores, kind: str, force: bool = False) -> None:
    if kind == "h5":
        write_h5(path, scores, force)
    else:
        atomic_bytes(path, render(scores, kind).encode(), force)


def read_scores(path: Path) -> Scores:
    """Read a score table in any of its formats, told apart by content; ``-`` is text on stdin."""
    shown = printable(str(path))
    if str(path) == "-":
        # One more than are read, counted in characters: then there are more bytes, too.
        try:
            return parse_scores(sys.stdin.read(MAX_TEXT_BYTES + 1), "stdin")
        except UnicodeDecodeError:
            raise InputError("stdin: is no UTF-8 text") from None
    if not path.is_file():
        raise InputError(f"{shown}: no such file")
    if h5.is_hdf5(path):
        return read_h5(path)
    try:
        with path.open("rb") as stream:
            return parse_scores(stream.read(MAX_TEXT_BYTES + 1), shown)
    except OSError as error:
        raise InputError(f"{shown}: cannot be read: {error.strerror or error}") from None
