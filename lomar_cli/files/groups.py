"""Which kind of client each one is, as an operator knows it: device, site, way of training."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lomar_cli.errors import InputError
from lomar_cli.files.sidecar import sidecar_text
from lomar_cli.files.text import name_fault, printable


def read_groups(path: Path) -> Mapping[str, str]:
    """Each client's group, by client.

    Read from CSV with the columns ``client`` and ``group``, or from JSON: ``{"client": "group",
    ...}``, or the same, or a list of ``{"client": ..., "group": ...}``, as ``"clients"``. Other
    columns and entries are passed over, and so are clients whose group is empty. Raises InputError
    with the line, or the client, that is wrong.
    """
    shown = printable(str(path))
    text = sidecar_text(path)
    is_json = text.lstrip()[:1] == "{"
    found: dict[str, str] = {}
    seen = False
    for where, client, group in _json(text, shown) if is_json else _csv(text, shown):
        seen = True
        if client in found:
            raise InputError(f"{where}: the client '{printable(client)}' is there twice")
        if group == "":
            continue
        fault = name_fault(group)
        if fault is not None:
            raise InputError(f"{where}: group: '{printable(group, 40)}' is no name: {fault}")
        found[client] = group
    if not seen:
        raise InputError(f"{shown}: holds no clients")
    return found


def _csv(text: str, shown: str) -> Iterator[tuple[str, str, str]]:
    try:
        for number, row in enumerate(csv.DictReader(io.StringIO(text), strict=True), start=2):
            client, group = row.get("client"), row.get("group")
            if client is None or group is None:
                raise InputError(f"{shown}: needs the columns client and group")
            yield f"{shown}: line {number}", client, group.strip()
    except csv.Error:
        raise InputError(f"{shown}: is not a CSV file") from None


def _json(text: str, shown: str) -> Iterator[tuple[str, str, str]]:
    try:
        document: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{shown}: is not valid JSON") from None
    listed = document.get("clients")
    if not isinstance(listed, dict | list):
        listed = document
    pairs = listed.items() if isinstance(listed, dict) else map(_pair, listed)
    for client, group in pairs:
        if not isinstance(client, str) or not isinstance(group, str):
            raise InputError(f"{shown}: clients: every entry must have a client and its group")
        yield f"{shown}: client '{printable(client, 40)}'", client, group.strip()


def _pair(entry: Any) -> tuple[Any, Any]:
    return (entry.get("client"), entry.get("group", "")) if isinstance(entry, dict) else (0, 0)
