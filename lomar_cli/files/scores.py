"""Score tables: a row a client, as HDF5, CSV, TSV or JSON (``docs/format.md``, lomar/scores)."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.errors import InputError, UsageError
from lomar_cli.files import h5
from lomar_cli.files.atomic import atomic_bytes
from lomar_cli.files.round import check_clients, decode_name, encode_name
from lomar_cli.files.text import json_text, printable

SCHEMA_VERSION = 1
FORMATS = ("h5", "csv", "tsv", "json")
FIXED = ("client", "num_examples", "suspicion", "keep", "reason")
# In this order; a table without a weight gives everybody a vote of its own.
WEIGHT = "weight"
_ORDER = ("client", "num_examples", "suspicion", "keep", WEIGHT, "reason")
MAX_TEXT_BYTES = 512 * 2**20
_KINDS: dict[str, type] = {
    "client": str,
    "num_examples": int,
    "keep": bool,
    "reason": str,
    "round_sha256": str,
}
_FORMULA = ("=", "+", "-", "@", "'")


@dataclass(frozen=True)
class Scores:
    """What a method says of every client of a round.

    ``columns`` has the five fixed columns first, ``weight`` among them where near-copies share a
    vote, then the method's own (floats; NaN where the method could not judge). ``keep`` is
    ``suspicion <= threshold`` unless the reason says more. ``notes`` are sentences for people: what
    was assumed, what could not be done.
    """

    method: str
    threshold: float
    round_sha256: str
    columns: Mapping[str, Sequence[Any]]
    options: dict[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    provenance: h5.Provenance = field(default_factory=list)
    sha256: str = ""

    @property
    def clients(self) -> list[str]:
        return list(self.columns["client"])

    @property
    def keep(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.asarray(self.columns["keep"], dtype=bool)

    @property
    def suspicion(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.asarray(self.columns["suspicion"], dtype=np.float64)

    @property
    def weight(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Each client's part of one vote (n,), in (0, 1]; 1 each where the table does not say."""
        if WEIGHT not in self.columns:
            return np.ones(len(self.columns["client"]))
        return np.asarray(self.columns[WEIGHT], dtype=np.float64)


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
        _write_h5(path, scores, force)
    else:
        atomic_bytes(path, render(scores, kind).encode(), force)


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


def read_scores(path: Path) -> Scores:
    """Read a score table in any of its formats, told apart by content; ``-`` is text on stdin."""
    shown = printable(str(path))
    if str(path) == "-":
        text = sys.stdin.read(MAX_TEXT_BYTES + 1)
        if len(text) > MAX_TEXT_BYTES:
            raise InputError(f"stdin: is larger than {MAX_TEXT_BYTES:,} bytes; no score table is")
        found = parse_scores(text, "stdin")
        return replace(found, sha256=hashlib.sha256(text.encode()).hexdigest())
    if not path.is_file():
        raise InputError(f"{shown}: no such file")
    if h5.is_hdf5(path):
        return _read_h5(path)
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise InputError(f"{shown}: is larger than {MAX_TEXT_BYTES:,} bytes; no score table is")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{shown}: is neither HDF5 nor UTF-8 text") from None
    return replace(parse_scores(text, shown), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def parse_scores(text: str, shown: str) -> Scores:
    """Read a score table from CSV, TSV or JSON text; ``shown`` names it in errors."""
    if text.lstrip()[:1] in ("{", "["):
        return _parse_json(text, shown)
    return _parse_table(text, shown)


def _write_h5(path: Path, scores: Scores, force: bool) -> None:
    with h5.create(path, "scores", scores.provenance, force) as handle:
        h5.write_text(handle, "method", scores.method)
        handle.attrs["threshold"] = np.float64(scores.threshold)
        h5.write_text(handle, "round_sha256", scores.round_sha256)
        h5.write_text(handle, "options", json.dumps(scores.options, sort_keys=True))
        h5.write_strings(handle, "notes", scores.notes)
        group = handle.create_group("columns")
        for position, (name, values) in enumerate(scores.columns.items()):
            kind = _KINDS.get(name, float)
            link = encode_name(name)
            if kind is str:
                h5.write_strings(group, link, values)
            else:
                dtype = {int: np.int64, bool: np.uint8, float: np.float64}[kind]
                group.create_dataset(link, data=np.asarray(values).astype(dtype))
            group[link].attrs["position"] = np.int64(position)


def _read_h5(path: Path) -> Scores:
    with h5.open_read(path, "scores") as reader:
        reader.check_digest()
        names = reader.names("columns")
        for name in FIXED:
            if name not in names:
                raise reader.fault(f"columns/{name}", "the column is missing")
        names.sort(key=lambda name: reader.integer("position", f"columns/{name}"))
        columns: dict[str, Sequence[Any]] = {}
        count = len(reader.strings("columns/client"))
        for link in names:
            where, name = f"columns/{link}", decode_name(link)
            kind = _KINDS.get(name, float)
            if kind is str:
                columns[name] = reader.strings(where, count)
            elif kind is float:
                columns[name] = reader.floats(where, count).tolist()
            else:
                columns[name] = reader.integers(where, count).astype(kind).tolist()
        threshold = reader.number("threshold")
        return _checked(
            Scores(
                method=reader.string("method"),
                threshold=threshold,
                round_sha256=reader.string("round_sha256"),
                columns=columns,
                options=reader.document("options"),
                notes=reader.strings("notes"),
                provenance=reader.provenance(),
                sha256=reader.content_sha256(),
            ),
            printable(str(path)),
        )


def _parse_json(text: str, shown: str) -> Scores:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{shown}: is not valid JSON; was it cut short?") from None
    if not isinstance(document, dict) or not isinstance(document.get("clients"), list):
        raise InputError(f"{shown}: clients: a score table has a list of clients here")
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
    names = list(rows[0]) if rows else list(FIXED)
    found = _from_rows(
        shown,
        names,
        [[row.get(name) for name in names] for row in rows],
        method=str(document.get("method", "")),
        threshold=document.get("threshold"),
        sha256=str(document.get("round_sha256", "")),
    )
    options, notes = document.get("options", {}), document.get("notes", [])
    if not isinstance(options, dict) or not isinstance(notes, list):
        raise InputError(f"{shown}: options must be an object and notes a list")
    return replace(found, options=options, notes=[str(note) for note in notes])


def _parse_table(text: str, shown: str) -> Scores:
    first = text.split("\n", 1)[0]
    delimiter = "\t" if "\t" in first else ","
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InputError(f"{shown}: is not a table: {printable(str(error))}") from None
    if not rows:
        raise InputError(f"{shown}: is empty")
    names, body = rows[0], [row for row in rows[1:] if row]
    for number, row in enumerate(body, start=2):
        if len(row) != len(names):
            raise InputError(f"{shown}: line {number} has {len(row)} fields, not {len(names)}")
    body = [[value[1:] if value[:1] == "'" else value for value in row] for row in body]
    digests = (
        {row[names.index("round_sha256")] for row in body} if "round_sha256" in names else {""}
    )
    if len(digests) > 1:
        raise InputError(f"{shown}: round_sha256: the rows belong to different rounds")
    return _from_rows(shown, names, body, method="", threshold=None, sha256=next(iter(digests), ""))


def _from_rows(
    shown: str,
    names: list[str],
    rows: list[list[Any]],
    method: str,
    threshold: Any,
    sha256: str,
) -> Scores:
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{shown}: {printable(twice)}: the column is there twice")
    for name in ("client", "suspicion", "keep"):
        if name not in names:
            raise InputError(f"{shown}: {name}: the column is missing")
    columns: dict[str, Sequence[Any]] = {}
    for position, name in enumerate(names):
        if name != "round_sha256":
            values = [row[position] for row in rows]
            columns[name] = [_value(name, value, shown) for value in values]
    columns.setdefault("num_examples", [1] * len(rows))
    columns.setdefault("reason", [""] * len(rows))
    ordered = {name: columns[name] for name in (*_ORDER, *columns) if name in columns}
    limit = float(threshold) if isinstance(threshold, int | float) else math.nan
    return _checked(Scores(method, limit, sha256, ordered), shown)


def _checked(scores: Scores, shown: str) -> Scores:
    check_clients(scores.clients, f"{shown}: client")
    if not np.isfinite(scores.suspicion).all():
        raise InputError(f"{shown}: suspicion: must be a finite number for every client")
    # Not below or NaN: NaN is neither.
    if not ((scores.weight > 0) & (scores.weight <= 1)).all():
        raise InputError(
            f"{shown}: weight: must be above 0 and at most 1 for every client; score the round "
            "again, or leave the column out"
        )
    return scores


def _value(name: str, value: Any, shown: str) -> Any:
    kind = _KINDS.get(name, float)
    try:
        if kind is str:
            return "" if value is None else str(value)
        if kind is bool:
            if isinstance(value, bool):
                return value
            return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
        if value is None or value == "":
            return math.nan
        return kind(value)
    except (KeyError, ValueError, TypeError, OverflowError):
        raise InputError(
            f"{shown}: {printable(name)}: '{printable(str(value), 40)}' is not "
            f"{'true or false' if kind is bool else 'a number'}"
        ) from None


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
