"""Score tables as text: CSV and TSV that no spreadsheet runs, and JSON."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lomar_cli.errors import InputError, UsageError
from lomar_cli.files.score_table import FIXED, ORDER, Scores, checked, value_of
from lomar_cli.files.text import json_text, printable

SCHEMA_VERSION = 1
# Python's numbers take up to 20 times the room of their text, its lists 30 times: this many stay
# within some 1.5 GB.
MAX_TEXT_BYTES = 64 * 2**20
_MAX_JSON_BYTES = 32 * 2**20
_MAX_COLUMNS = 100_000
_FORMULA = ("=", "+", "-", "@", "'")


def render(scores: Scores, kind: str) -> str:
    """The table as text: ``csv``, ``tsv`` or ``json``."""
    if kind == "json":
        return json_text(as_document(scores)) + "\n"
    if kind not in ("csv", "tsv"):
        raise UsageError(f"--format {kind}: a stream takes csv, tsv or json")
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="," if kind == "csv" else "\t", lineterminator="\n")
    names = [*scores.columns, "round_sha256"]
    writer.writerow(names)
    for row in zip(*scores.columns.values(), strict=True):
        writer.writerow([_cell(value) for value in row] + [scores.round_sha256])
    return stream.getvalue()


def as_document(scores: Scores) -> dict[str, Any]:
    """The JSON document that ``lomar score --json`` prints."""
    rows = zip(*scores.columns.values(), strict=True)
    return {
        "schema_version": SCHEMA_VERSION,
        "method": scores.method,
        "threshold": _plain(scores.threshold),
        "round_sha256": scores.round_sha256,
        "options": scores.options,
        "notes": list(scores.notes),
        "clients": [
            {n: _plain(v) for n, v in zip(scores.columns, row, strict=True)} for row in rows
        ],
    }


def parse_scores(content: bytes | str, shown: str) -> Scores:
    """Read a score table from CSV, TSV or JSON, told apart by how it begins.

    ``shown`` names it in errors. Its ``sha256`` is that of ``content``, as UTF-8.
    """
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    is_json = raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")
    limit = _MAX_JSON_BYTES if is_json else MAX_TEXT_BYTES
    if len(raw) > limit:
        raise InputError(
            f"{shown}: is larger than {limit:,} bytes, which is more than is read of a table in "
            "text; keep such tables as .h5"
        )
    try:
        text = io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8-sig", newline="")
        found = _parse_json(text.read(), shown) if is_json else _parse_table(text, shown)
    except UnicodeDecodeError:
        raise InputError(
            f"{shown}: is neither HDF5 nor UTF-8 text; `lomar dump` reads client files"
        ) from None
    return replace(found, sha256=hashlib.sha256(raw).hexdigest())


def _parse_json(text: str, shown: str) -> Scores:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{shown}: is not valid JSON; was it cut short?") from None
    if not isinstance(document, dict) or not isinstance(document.get("clients"), list):
        raise InputError(f"{shown}: is no score table, truth or metrics file (no list of clients)")
    version = document.get("schema_version")
    known = isinstance(version, int) and not isinstance(version, bool)
    if version is None or not known or not 1 <= version <= SCHEMA_VERSION:
        raise InputError(
            f"{shown}: schema_version: is {version!r}, this lomar reads up to {SCHEMA_VERSION}; "
            "upgrade lomar"
        )
    rows = document["clients"]
    if not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{shown}: clients: every entry must be an object")
    names: list[str] = list(rows[0]) if rows else list(FIXED)
    for number, row in enumerate(rows, start=1):
        # Or few bytes would ask for as many cells as there are rows times columns.
        if row.keys() != rows[0].keys():
            raise InputError(f"{shown}: clients: entry {number} has other fields than the first")
    found = _from_rows(
        shown,
        names,
        (row.values() if list(row) == names else [row[name] for name in names] for row in rows),
        method=str(document.get("method", "")),
        threshold=document.get("threshold"),
    )
    sha256 = str(document.get("round_sha256", ""))
    options, notes = document.get("options", {}), document.get("notes", [])
    if not isinstance(options, dict) or not isinstance(notes, list):
        raise InputError(f"{shown}: options must be an object and notes a list")
    return replace(found, round_sha256=sha256, options=options, notes=[str(note) for note in notes])


def _parse_table(stream: io.TextIOWrapper, shown: str) -> Scores:
    """Row by row, so that no more is held than the columns."""
    first = stream.readline()
    delimiter = "\t" if "\t" in first else ","
    stream.seek(0)
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    try:
        names = next(reader, None)
        if names is None:
            raise InputError(f"{shown}: is empty")
        return _from_rows(shown, names, _rows(reader, len(names), shown), "", None)
    except csv.Error as error:
        raise InputError(f"{shown}: is not a table: {printable(str(error))}") from None


def _rows(reader: Iterator[list[str]], width: int, shown: str) -> Iterator[list[str]]:
    """The rows that are not empty, without the apostrophes that keep a spreadsheet quiet."""
    for number, row in enumerate(filter(None, reader), start=2):
        if len(row) != width:
            raise InputError(f"{shown}: line {number} has {len(row)} fields, not {width}")
        yield [value[1:] if value[:1] == "'" else value for value in row]


def _from_rows(
    shown: str,
    names: Sequence[str],
    rows: Iterator[Sequence[Any]],
    method: str,
    threshold: Any,
) -> Scores:
    if len(names) > _MAX_COLUMNS:
        raise InputError(f"{shown}: has {len(names):,} columns, more than {_MAX_COLUMNS:,}")
    known: set[str] = set()
    for name in names:
        if name in known:
            raise InputError(f"{shown}: {printable(name)}: the column is there twice")
        known.add(name)
    for name in ("client", "suspicion", "keep"):
        if name not in known:
            raise InputError(f"{shown}: {name}: the column is missing")
    cells: list[list[Any]] = [[] for _ in names]
    digests: set[str] = set()
    for row in rows:
        for name, column, value in zip(names, cells, row, strict=True):
            if name == "round_sha256":
                digests.add(str(value))
            else:
                column.append(value_of(name, value, shown))
    if len(digests) > 1:
        raise InputError(f"{shown}: round_sha256: the rows belong to different rounds")
    columns: dict[str, Sequence[Any]] = dict(zip(names, cells, strict=True))
    columns.pop("round_sha256", None)
    columns.setdefault("num_examples", [1] * len(columns["client"]))
    columns.setdefault("reason", [""] * len(columns["client"]))
    ordered = {name: columns[name] for name in (*ORDER, *columns) if name in columns}
    limit = float(threshold) if isinstance(threshold, int | float) else math.nan
    return checked(Scores(method, limit, next(iter(digests), ""), ordered), shown)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _cell(value: Any) -> str:
    """A CSV cell; text that a spreadsheet would run as a formula gets a leading apostrophe."""
    value = _plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return repr(value)
