"""Which kind of client each one is, as an operator knows it: device, site, way of training."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from lomar_cli.errors import InputError
from lomar_cli.files.text import name_fault, printable


def parse_groups(text: str, shown: str) -> Mapping[str, str]:
    """Each client's group, by client.

    From CSV with the columns ``client`` and ``group``, or from JSON: ``{"client": "group", ...}``,
    or the same, or a list of ``{"client": ..., "group": ...}``, as ``"clients"``. Other columns are
    passed over, a ``round_number`` beside the clients, and clients whose group is empty. ``shown``
    names the file in errors: InputError with the line, or the client, that is wrong.
    """
    is_json = text.lstrip()[:1] == "{"
    found: dict[str, str] = {}
    clients: set[str] = set()
    for where, client, group in _json(text, shown) if is_json else _csv(text, shown):
        if client in clients:
            raise InputError(f"{where}: the client '{printable(client)}' is there twice")
        clients.add(client)
        if group == "":
            continue
        fault = name_fault(group)
        if fault is not None:
            raise InputError(f"{where}: group: '{printable(group, 40)}' is no name: {fault}")
        found[client] = group
    if not clients:
        raise InputError(f"{shown}: holds no clients")
    return found


def _csv(text: str, shown: str) -> Iterator[tuple[str, str, str]]:
    try:
        rows = csv.DictReader(io.StringIO(text), strict=True)
        there = rows.fieldnames or []
        if text.strip() and not {"client", "group"} <= set(there):
            raise InputError(
                f"{shown}: needs the columns client and group, separated by commas; its first line "
                f"is '{printable(text.splitlines()[0], 60)}'"
            )
        for number, row in enumerate(rows, start=2):
            client, group = row.get("client"), row.get("group")
            if client is None or group is None:
                raise InputError(f"{shown}: line {number}: has no group")
            yield f"{shown}: line {number}", client, group.strip()
    except csv.Error:
        raise InputError(f"{shown}: is not a CSV file") from None


def _json(text: str, shown: str) -> Iterator[tuple[str, str, str]]:
    try:
        # As pairs, so that a client that is there twice is seen.
        document = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        raise InputError(f"{shown}: is not valid JSON") from None
    inner = dict(document).get("clients")
    listed = inner if isinstance(inner, list) else document
    for entry in listed:
        if isinstance(entry, _Pairs):
            one = dict(entry)
            client, group = one.get("client"), one.get("group", "")
        else:
            client, group = entry if isinstance(entry, tuple) else (None, None)
        if listed is document and client == "round_number":
            continue
        if not isinstance(client, str) or not isinstance(group, str):
            raise InputError(f"{shown}: every entry must have a client and its group, as texts")
        yield f"{shown}: client '{printable(client, 40)}'", client, group.strip()


class _Pairs(list[tuple[str, Any]]):
    """The names and values of a JSON object, in order."""
