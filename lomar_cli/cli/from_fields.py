"""Commands made from the fields of an attack's class, so that an attack is one file."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

EMPTY: Any = inspect.Parameter.empty


def parameter(name: str, annotation: Any, default: Any = EMPTY) -> inspect.Parameter:
    """A keyword of a command, with typer's word on it in ``annotation``."""
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def own_options(kind: type) -> list[inspect.Parameter]:
    """An option for each field of the dataclass ``kind``, by its type, default and metadata.

    Those that all attacks have come last.
    """
    hints = typing.get_type_hints(kind)
    found = []
    for field in sorted(dataclasses.fields(kind), key=lambda field: field.kw_only is True):
        said = field.metadata
        flag = said.get("flag") or f"--{field.name.replace('_', '-')}"
        shown = typer.Option(flag, help=said["help"], metavar=said.get("metavar"))
        default = EMPTY if field.default is dataclasses.MISSING else field.default
        found.append(parameter(field.name, Annotated[hints[field.name], shown], default))
    return found


def shaped(
    function: Callable[..., None],
    name: str,
    parameters: Sequence[inspect.Parameter],
    kind: type,
    words: str,
) -> Callable[..., None]:
    """``function`` with the signature and the help that typer reads.

    The help is the docstring of ``kind`` with an example, ``words`` after the command's name.
    """
    about = (inspect.getdoc(kind) or "").split("\n\n")
    about.append("Who attacks is written to --truth only, by default truth.json beside the output.")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in about)
    words = " ".join(words.split())
    function.__doc__ = f"{text}\n\n\b\nExample:\n  lomar attack {name} {words}\n"
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
    function.__name__ = name.replace("-", "_")
    return function
