"""Read what ``lomar run`` wrote, and gather the seeds of one point."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lomar_cli.errors import InputError
from lomar_cli.experiments.plan import key_of, share_said
from lomar_cli.experiments.results import Group, Place, Point, Results, Trouble, unique
from lomar_cli.experiments.sweep import RESULT_VERSION, whole_result
from lomar_cli.files.text import printable
from lomar_cli.files.truth import read_json

# What a point names itself; every other key of a cell that varies is told with the setting.
_NAMED = {"data": {"imbalance"}, "attack": {"name", "flip", "malicious", "convert", "style"}}


def read_results(folder: Path) -> Results:
    """Read the folder that ``lomar run`` wrote; cells still to do are counted, not invented."""
    shown = printable(str(folder))
    described = folder / "experiment.json"
    if not described.is_file():
        raise InputError(f"{shown}: holds no experiment.json; name a folder that lomar run wrote")
    head = read_json(described)
    if head.get("result_version") != RESULT_VERSION:
        raise InputError(f"{shown}: was written by another version of lomar; run it again")
    try:
        found, missing, seconds = _read_cells(folder, head["cells"])
        return Results(
            folder=folder,
            title=head["title"],
            about=head["about"],
            layout=head["layout"],
            quick=head["quick"],
            document=head["document"],
            groups=_grouped(found),
            missing=missing,
            seconds=seconds,
            versions=unique(str(one.get("version", "")) for one in found),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{shown}: does not hold what lomar run writes ({type(error).__name__}: {error}); "
            "run it again"
        ) from None


def _read_cells(folder: Path, keys: list[str]) -> tuple[list[dict[str, Any]], int, float]:
    found, missing, seconds = [], 0, 0.0
    for key in keys:
        path = folder / "cells" / f"{key}.json"
        one = whole_result(path)
        if one is None or key_of(one["cell"]) != key:
            # As good as absent: the next run makes it again.
            missing += 1
            continue
        found.append(one)
        timing = path.with_suffix(".time")
        if timing.exists():
            seconds += float(read_json(timing).get("seconds", 0))
    return found, missing, seconds


def _grouped(found: list[dict[str, Any]]) -> list[Group]:
    varying = _varying([one["cell"] for one in found])
    groups: dict[Point, Group] = {}
    for one in found:
        cell, seed = one["cell"], int(one["cell"]["seed"])
        point = _point(cell, varying[cell["setting"]])
        if point not in groups:
            groups[point] = _group(point, cell)
        group = groups[point]
        if one["status"] == "done":
            group.seeds.append(seed)
            group.rows.append(one["rows"])
        else:
            group.troubles.append(Trouble(seed, one["status"], str(one["reason"])))
    return list(groups.values())


def _group(point: Point, cell: dict[str, Any]) -> Group:
    told = str(cell["defense"].get("assume_malicious", ""))
    data = {key: value for key, value in cell["data"].items() if key != "imbalance"}
    return Group(
        point,
        clean=bool(cell["defense"].get("clean")),
        assumed="oracle" if told == "true" else told,
        scenario=json.dumps([data, cell["training"]], sort_keys=True),
    )


def _varying(cells: list[dict[str, Any]]) -> dict[str, dict[str, set[str]]]:
    """By setting and part, the keys that are axes there and that a point does not name itself."""
    seen: dict[str, dict[str, dict[str, set[str]]]] = {}
    for cell in cells:
        parts = seen.setdefault(cell["setting"], {"data": {}, "training": {}, "attack": {}})
        for part, keys in parts.items():
            if part == "attack" and cell["attack"].get("name", "none") == "none":
                continue
            for key, value in cell[part].items():
                if key not in _NAMED.get(part, ()):
                    keys.setdefault(key, set()).add(json.dumps(value, sort_keys=True))
    return {
        setting: {
            part: {key for key, values in keys.items() if len(values) > 1}
            for part, keys in parts.items()
        }
        for setting, parts in seen.items()
    }


def _point(cell: dict[str, Any], varying: dict[str, set[str]]) -> Point:
    def told(part: str) -> str:
        values = [
            f", {key.replace('_', ' ')} {_plain(value)}"
            for key, value in cell[part].items()
            if key in varying[part]
        ]
        return "".join(values)

    attack = cell["attack"]
    name = str(attack.get("name", "none"))
    if name == "none":
        described = "none"
    else:
        style = f" {attack['style']}" if "style" in attack else ""
        flips = f" {' '.join(attack['flip'])}" if attack.get("flip") else ""
        # A second attack, on the rounds that come of the first.
        then = f" then {attack['then'].get('name')}" if attack.get("then") else ""
        described = f"{name}{style}{flips}{then}{told('attack')}"
    place = Place(
        setting=cell["setting"] + told("data") + told("training"),
        imbalance=float(cell["data"].get("imbalance", 0.0)),
        malicious="" if name == "none" else share_said(attack),
        attack=described,
        flips=" ".join(map(str, attack.get("flip") or [])),
    )
    return Point(place, cell["defense"]["name"])


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_plain(one)}" for key, one in value.items())
    if isinstance(value, float):
        # As short as it can be told from any other: 0.1, but also 0.1234561.
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)
