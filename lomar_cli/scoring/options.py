"""Make a method or rule from its registered class and what the command line gave."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from lomar_cli.errors import NotLoadedError, UsageError, nearest
from lomar_cli.files.text import printable
from lomar_cli.typed import check_type, declared

# name: (module, class, one line about it)
Table = Mapping[str, tuple[str, str, str]]
DEFAULT_ASSUMED = 0.2
# Whose option it is, when it is not that of the one asked: so many are named.
_NAMED = 3


@dataclass(frozen=True)
class Registry:
    """Named classes of one kind. ``group`` is the entry-point group that others may add to."""

    flag: str
    package: str
    table: Table
    group: str = ""
    # What else may be said of a name that is not there.
    hint: Callable[[str], str] = lambda name: ""

    def names(self) -> list[str]:
        return [*self.table, *sorted(self._added())]

    def about(self, name: str) -> str:
        if name in self.table:
            return self.table[name][2]
        found = self._added()[name]
        return f"from {found.value.split(':')[0]}"

    def factory(self, name: str) -> Any:
        """The class registered as ``name``; UsageError with the nearest name when there is none."""
        if name in self.table:
            module, kind, _ = self.table[name]
            return getattr(importlib.import_module(f"{self.package}.{module}"), kind)
        added = self._added()
        if name in added:
            try:
                return added[name].load()
            except Exception as error:
                why = f"{type(error).__name__}: {printable(str(error), 200)}"
                raise NotLoadedError(
                    f"{self.flag} {printable(name)}: cannot be loaded ({why})"
                ) from None
        known = self.names()
        raise UsageError(
            f"{self.flag}: there is no '{printable(name)}'"
            f"{self.hint(name) or nearest(name, known)} (known: {', '.join(known)})"
        )

    def options(self, name: str) -> dict[str, Any]:
        """The options that ``name`` takes, with their defaults; none of what cannot be loaded."""
        try:
            fields = dataclasses.fields(self.factory(name))
        except (ImportError, AttributeError, TypeError, NotLoadedError):
            return {}
        missing = dataclasses.MISSING
        return {f.name: None if f.default is missing else f.default for f in fields}

    def make(self, name: str, options: Mapping[str, Any], strict: bool = True) -> Any:
        """Make ``name`` with those of ``options`` that are not None.

        Text is turned into the type of the option. An option it does not take is refused, or
        passed over when not ``strict``.
        """
        factory = self.factory(name)
        fields = {field.name: field for field in dataclasses.fields(factory)}
        given = {}
        for key, value in options.items():
            if value is None:
                continue
            if key in fields:
                given[key] = _convert(fields[key], value, key)
            elif strict:
                takes = ", ".join(fields) or "none"
                owners = self._who_has(key)
                # What no other takes either can only have come by --set.
                shown = f"--{key.replace('_', '-')}" if owners else f"--set {printable(key)}"
                raise UsageError(
                    f"{shown}: {self.flag} {name} has no such option"
                    f"{owners or nearest(key, list(fields))} ({name} takes: {takes})"
                )
        return factory(**given)

    def _who_has(self, key: str) -> str:
        """Whose option ``key`` is, in their own order, for who takes the default to be another."""
        found = [f"{self.flag} {name}" for name in self.table if key in self.options(name)]
        if not found:
            return ""
        others = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        return f"; give it with {' or '.join(found[:_NAMED])}{others}"

    def _added(self) -> dict[str, Any]:
        if not self.group:
            return {}
        found = {point.name: point for point in entry_points(group=self.group)}
        return {name: point for name, point in found.items() if name not in self.table}


def parse_settings(texts: list[str] | None) -> dict[str, str]:
    """Read ``NAME=VALUE`` texts as ``--set`` gives them."""
    found = {}
    for text in texts or []:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise UsageError(f"--set {text}: must be NAME=VALUE")
        found[name.strip().replace("-", "_")] = value.strip()
    return found


def assumed(text: str | None, clients: int) -> int:
    """How many malicious clients a rule is told to reckon with.

    ``text`` is a number (5), a share (10%), or None for the blind default, a fifth of all.
    """
    if text is None:
        return math.floor(DEFAULT_ASSUMED * clients)
    try:
        value = float(text[:-1]) / 100 * clients if text.endswith("%") else int(text)
    except ValueError:
        value = -1
    if not 0 <= value <= clients:
        raise UsageError(
            f"--assume-malicious {text}: must be a number of clients up to {clients} (5) "
            "or a share (10%)"
        )
    # Not below a whole number that the share is meant to be: 0.1 * 1100 is 110.00000000000001.
    return math.floor(value + 1e-9)


def _convert(field: dataclasses.Field[Any], value: Any, key: str) -> Any:
    wanted = declared(field)
    if not isinstance(value, str):
        # Quantities such as 0.5n are texts; 50 is one, too.
        if wanted.startswith("str") and type(value) in (int, float):
            return str(value)
        check_type(value, field, f"--{key.replace('_', '-')}")
        return value
    try:
        if wanted.startswith("int"):
            return int(value)
        if wanted.startswith("float"):
            return float(value)
        if wanted.startswith("bool"):
            return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
    except (ValueError, KeyError):
        raise UsageError(f"--{key.replace('_', '-')} {value}: must be of type {wanted}") from None
    return value
