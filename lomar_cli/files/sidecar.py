"""What lies beside client files: how many samples each client has, and the round's number."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lomar_cli.errors import InputError
from lomar_cli.files.text import printable

# A million clients; Python's dicts take some 40 times the room of the shortest lines.
_MAX_BYTES = 16 * 2**20
_MAX_COUNT = 2**53


@dataclass(frozen=True)
class Sidecar:
    """``num_examples`` by client; ``round_number`` is None when the file does not say."""

    num_examples: Mapping[str, int]
    round_number: int | None = None


def read_sidecar(path: Path) -> Sidecar:
    """Read CSV with the columns ``client`` and ``num_examples``, or JSON, told apart by content.

    JSON is ``{"client": number, ...}``, or ``{"round_number": 3, "clients": {...}}``, where
    ``clients`` may also be a list of ``{"client": ..., "num_examples": ...}``. Counts are whole
    numbers from 0. Raises InputError with the line, or the client, that is wrong.
    """
    shown, text = printable(str(path)), sidecar_text(path)
    if text.lstrip()[:1] == "{":
        return _json(text, shown)
    return Sidecar(_csv(text, shown))


def sidecar_text(path: Path) -> str:
    """A file that lists clients, as text; InputError for what is none, or too large for one."""
    shown = printable(str(path))
    if not path.is_file():
        raise InputError(f"{shown}: no such file")
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"{shown}: is larger than {_MAX_BYTES:,} bytes; no list of clients is")
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{shown}: is not a CSV or JSON file in UTF-8") from None


def _csv(text: str, shown: str) -> dict[str, int]:
    found: dict[str, int] = {}
    try:
        for number, row in enumerate(csv.DictReader(io.StringIO(text), strict=True), start=2):
            name, said = row.get("client"), row.get("num_examples")
            if name is None or said is None:
                raise InputError(f"{shown}: needs the columns client and num_examples")
            try:
                count = int(said)
            except ValueError:
                count = -1
            _add(found, name, count, said, f"{shown}: line {number}")
    except csv.Error:
        raise InputError(f"{shown}: is not a CSV file") from None
    if not found:
        raise InputError(f"{shown}: holds no clients")
    return found


def _json(text: str, shown: str) -> Sidecar:
    try:
        document: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{shown}: is not valid JSON") from None
    listed, number = document.get("clients"), document.get("round_number")
    if not isinstance(listed, dict | list):
        listed, number = document, None
    if number is not None and not (type(number) is int and 0 <= number < 2**63):
        raise InputError(f"{shown}: round_number: must be a whole number from 0")
    found: dict[str, int] = {}
    pairs = listed.items() if isinstance(listed, dict) else map(_pair, listed)
    for name, count in pairs:
        if not isinstance(name, str):
            raise InputError(
                f"{shown}: clients: every entry must have a client and its num_examples"
            )
        whole = count if type(count) is int else -1
        _add(found, name, whole, str(count), f"{shown}: client '{printable(name, 40)}'")
    if not found:
        raise InputError(f"{shown}: holds no clients")
    return Sidecar(found, number)


def _pair(entry: Any) -> tuple[Any, Any]:
    return (entry.get("client"), entry.get("num_examples")) if isinstance(entry, dict) else (0, 0)


def _add(found: dict[str, int], name: str, count: int, said: str, where: str) -> None:
    if not 0 <= count < _MAX_COUNT:
        raise InputError(
            f"{where}: num_examples: '{printable(said, 30)}' is no whole number from 0"
        )
    if name in found:
        raise InputError(f"{where}: the client '{printable(name)}' is there twice")
    found[name] = count
