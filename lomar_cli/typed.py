"""Whether an option's value is of the type that its dataclass field declares."""

from __future__ import annotations

import dataclasses
from typing import Any

from lomar_cli.errors import UsageError

_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "list": (list, tuple),
    "None": (type(None),),
}


def declared(field: dataclasses.Field[Any]) -> str:
    """The field's type as text, whether its module postpones annotations or not."""
    return str(getattr(field.type, "__name__", field.type))


def check_type(value: Any, field: dataclasses.Field[Any], shown: str) -> None:
    """UsageError when ``value`` is of another type; types that are not plain are not looked at."""
    names = [part.strip().split("[")[0] for part in declared(field).split("|")]
    for name in names:
        if name not in _KINDS:
            return
        if isinstance(value, _KINDS[name]) and isinstance(value, bool) <= (name == "bool"):
            return
    raise UsageError(f"{shown} {value!r}: must be of type {declared(field)}")
