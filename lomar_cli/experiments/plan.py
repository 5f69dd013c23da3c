"""An experiment file (TOML) read, checked and unfolded into cells.

A file has general keys, one or more settings (data, attack, training) and a list of defenses; in
a setting a list where a single value is meant is an axis. ``docs/experiments.md`` describes it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.errors import InputError, UsageError, nearest
from lomar_cli.experiments.schema import (
    GENERAL,
    LAYOUTS,
    LISTS,
    MEASURES,
    PARTS,
    SETTING,
    check_keys,
    check_name,
    check_points,
    check_positive,
    check_seeds,
    check_words,
    checked_defense,
)
from lomar_cli.files.text import printable

PRESETS = files("lomar_cli.experiments") / "presets"


@dataclass(frozen=True)
class Cell:
    """One run: a setting at one point of its axes, one defense, one seed.

    ``measure`` names what is measured beside the test accuracy: ``training`` (accuracy on the
    training part) and ``map`` (the last round's updates in two dimensions).
    """

    setting: str
    data: dict[str, Any]
    attack: dict[str, Any]
    training: dict[str, Any]
    defense: dict[str, Any]
    rounds: int
    evaluate_every: int
    seed: int
    measure: tuple[str, ...] = ()

    @property
    def described(self) -> dict[str, Any]:
        """The cell as JSON knows it; what is left at its default is left out."""
        found = {**asdict(self), "measure": list(self.measure)}
        if not self.measure:
            del found["measure"]
        return found

    @property
    def key(self) -> str:
        """What tells this cell from every other, whatever experiment it stands in."""
        return key_of(self.described)

    def derived_seed(self, *words: int) -> int:
        """A seed of its own for each purpose that ``words`` name."""
        return int(np.random.SeedSequence([self.seed, *words]).generate_state(1)[0])

    @property
    def attacked(self) -> bool:
        return bool(self.attack.get("name", "none") != "none")

    @property
    def label(self) -> str:
        """A few words for a progress display."""
        points = [f"lambda {self.data.get('imbalance', 0)}"] if "imbalance" in self.data else []
        if self.attacked:
            points.append(f"{self.attack['name']} {share_said(self.attack)}")
        return f"{self.setting}, {', '.join([*points, self.defense['name']])}, seed {self.seed}"


def share_said(attack: dict[str, Any]) -> str:
    """How many attack, in the experiment's words; empty where it has none."""
    return str(attack.get("malicious") or attack.get("convert") or "")


@dataclass(frozen=True)
class Plan:
    """An experiment as it will be run; ``document`` is the checked file, quick part applied."""

    name: str
    title: str
    about: str
    layout: str
    cells: list[Cell]
    document: dict[str, Any]
    quick: bool


def key_of(described: Any) -> str:
    """The key of a cell that is described so."""
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]


def preset_names() -> dict[str, str]:
    """The experiments inside the package: name and title."""
    found = {}
    for entry in sorted(PRESETS.iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".toml"):
            document = tomllib.loads(entry.read_text("utf-8"))
            found[entry.name.removesuffix(".toml")] = str(document.get("title", ""))
    return found


def read_plan(name: str, quick: bool = False) -> Plan:
    """Read a preset by name, or an experiment file by path; every key is checked."""
    path = Path(name)
    if path.suffix == ".toml" or path.exists():
        if not path.is_file():
            raise InputError(f"{printable(name)}: no such file")
        try:
            text, title = path.read_text("utf-8"), path.stem
        except (OSError, UnicodeDecodeError):
            raise InputError(f"{printable(name)}: cannot be read as UTF-8 text") from None
    else:
        known = list(preset_names())
        if name not in known:
            raise UsageError(
                f"there is no experiment '{printable(name)}'{nearest(name, known)} "
                f"(known: {', '.join(known)}; or give a .toml file)"
            )
        text, title = (PRESETS / f"{name}.toml").read_text("utf-8"), name
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{printable(name)}: is not valid TOML: {printable(str(error))}") from None
    return make_plan(document, title, quick, printable(name))


def make_plan(document: dict[str, Any], name: str, quick: bool, where: str) -> Plan:
    """Check a parsed experiment and unfold it."""
    document = dict(document)
    shortened = document.pop("quick", {})
    parts = dict.fromkeys(PARTS, dict)
    check_keys(document, {**GENERAL, "setting": list, "defense": list, **parts}, where)
    check_keys(shortened, {**GENERAL, "setting": list, **parts}, f"{where}: quick")
    names = _check_settings(document, f"{where}: setting")
    for name in _check_settings(shortened, f"{where}: quick: setting"):
        check_name(name, names, f"{where}: quick: setting")
    if quick:
        if not shortened:
            raise InputError(f"{where}: quick: this experiment has no reduced version")
        document = _overlay(document, shortened)
    layout = str(document.get("layout", "table"))
    check_name(layout, list(LAYOUTS), f"{where}: layout")
    check_words(document.get("measure", []), MEASURES, f"{where}: measure")
    defenses = _defenses(document, where)
    seeds = check_seeds(document.get("seeds", [0]), where)
    settings = document.get("setting") or [{"name": "all"}]
    if len(set(names)) < len(names):
        raise InputError(f"{where}: setting: two have the same name; give each its own")
    cells = [
        replace(cell, defense=defense, seed=seed)
        for setting in settings
        for cell in _points(document, setting, where)
        for defense, seed in itertools.product(defenses, seeds)
    ]
    return Plan(
        name=name,
        title=str(document.get("title", name)),
        about=str(document.get("about", "")),
        layout=layout,
        cells=_without_repeats(cells),
        document=document,
        quick=quick,
    )


def _points(document: dict[str, Any], setting: Any, where: str) -> Iterator[Cell]:
    """A cell without defense and seed for each point of a setting's axes."""
    where = f"{where}: setting"
    title = str(setting.get("name", "all"))
    where = f"{where} {title}" if "name" in setting else where
    parts = {}
    for part, keys in PARTS.items():
        merged = {**document.get(part, {}), **setting.get(part, {})}
        check_keys(merged, keys, f"{where}: {part}", axes=True)
        parts[part] = _unfold(merged)
    check_points(parts, where)
    for point in parts["data"]:
        if "file" in point:
            # Results of another file are results of another cell.
            point["file_sha256"] = _digest(Path(point["file"]), f"{where}: data: file")
    pace = {**document, **setting}
    rounds = check_positive(pace.get("rounds", 1), f"{where}: rounds")
    every = check_positive(pace.get("evaluate_every", rounds), f"{where}: evaluate_every")
    measure = tuple(document.get("measure", []))
    for data, attack, training in itertools.product(*parts.values()):
        yield Cell(title, data, attack, training, {}, rounds, every, 0, measure)


def _check_settings(document: dict[str, Any], where: str) -> list[str]:
    """Refuse settings with what they cannot hold; return their names."""
    for entry in document.get("setting", []):
        check_keys(entry, SETTING, where)
    return [str(entry.get("name", "all")) for entry in document.get("setting", [])]


def _digest(path: Path, where: str) -> str:
    if not path.is_file():
        raise InputError(f"{where}: there is no file {printable(str(path))} (from this folder)")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _overlay(document: dict[str, Any], quick: dict[str, Any]) -> dict[str, Any]:
    """The reduced version: general keys replaced, parts merged, also into every setting.

    Settings of the reduced version are laid over those of the same name; the others stay as they
    are. A setting's own pace gives way to that of the reduced version.
    """
    result = {**document, "setting": [dict(entry) for entry in document.get("setting", [])]}
    named = {str(entry.get("name", "all")): entry for entry in result["setting"]}
    for key, value in quick.items():
        if key == "setting":
            continue
        if key in PARTS and isinstance(value, dict):
            result[key] = {**result.get(key, {}), **value}
            for entry in result["setting"]:
                if key in entry:
                    entry[key] = {**entry[key], **value}
            continue
        result[key] = value
        for entry in result["setting"]:
            entry.pop(key, None)
    for more in quick.get("setting", []):
        entry = named[str(more.get("name", "all"))]
        for key, value in more.items():
            entry[key] = {**entry.get(key, {}), **value} if key in PARTS else value
    if not result["setting"]:
        del result["setting"]
    return result


def _defenses(document: dict[str, Any], where: str) -> list[dict[str, Any]]:
    entries = document.get("defense", [])
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{where}: defense: at least one [[defense]] is needed")
    found = [
        checked_defense(entry, f"{where}: defense {number}")
        for number, entry in enumerate(entries, start=1)
    ]
    names = [entry["name"] for entry in found]
    if len(set(names)) != len(names):
        raise InputError(f"{where}: defense: two have the same name; give each its own")
    return found


def _unfold(part: dict[str, Any]) -> list[dict[str, Any]]:
    """Every combination of the values of keys that hold an axis."""
    axes = []
    for key, value in part.items():
        is_axis = isinstance(value, list)
        if key in LISTS:
            is_axis = bool(value) and isinstance(value[0], list)
        axes.append([(key, one) for one in value] if is_axis else [(key, value)])
    return [dict(point) for point in itertools.product(*axes)]


# What is left of an attack when nobody attacks: whose accuracy to report.
_ALSO_CLEAN = ("flip",)


def _without_repeats(cells: list[Cell]) -> list[Cell]:
    """A clean run does not depend on the attack: do it once for all points of the attack's axes."""
    seen: dict[str, Cell] = {}
    for cell in cells:
        if cell.defense.get("clean") or not cell.attacked:
            kept = {key: cell.attack[key] for key in _ALSO_CLEAN if key in cell.attack}
            cell = replace(cell, attack={"name": "none", **kept})
        seen.setdefault(cell.key, cell)
    return list(seen.values())
