"""``lomar info``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from lomar_cli.cli import options
from lomar_cli.cli.console import out, print_json
from lomar_cli.errors import UsageError


def command(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Any file that lomar wrote, or the several files of one round."
        ),
    ],
    layers: Annotated[
        bool,
        typer.Option(
            "--layers", help="Say which parameters could be the output layer.", show_default=False
        ),
    ] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Say what a file holds and which stages led to it.

    \b
    Example:
      lomar info round.h5
      lomar info round-*.h5
    """
    from lomar_cli.files.text import printable
    from lomar_cli.stages.describe import describe, describe_set

    if len(files) > 1 and layers:
        raise UsageError("--layers: name one file")
    found = describe(files[0], layers) if len(files) == 1 else describe_set(files)
    if json:
        named = {"file": str(files[0])} if len(files) == 1 else {}
        print_json({"schema_version": 1, **named, **found})
        return
    console = out()
    steps = found.pop("provenance", None) or []
    console.print(f"{printable(options.named(files))}: {printable(str(found.pop('kind')))}")
    for name, value in found.items():
        if value is not None:
            _line(console, name, value)
    if steps:
        console.print("made by")
        for number, step in enumerate(steps, start=1):
            console.print(f"  {number}. {printable(_step(step), 400)}", soft_wrap=True)


def _line(console: Any, name: str, value: Any) -> None:
    from lomar_cli.files.text import printable

    label = printable(name.replace("_", " "), 40)
    if isinstance(value, dict):
        if not value:
            return
        shown = ", ".join(f"{key} {item}" for key, item in value.items())
    elif isinstance(value, list):
        if not value:
            return
        # Sentences have commas of their own.
        shown = ("; " if name == "notes" else ", ").join(str(item) for item in value)
    else:
        shown = f"{value:,}" if isinstance(value, int) else str(value)
    console.print(f"  {label:<18} {printable(shown, 400)}", soft_wrap=True)


def _step(step: dict[str, Any]) -> str:
    options_said = {
        key: value for key, value in dict(step.get("options") or {}).items() if value is not None
    }
    said = " ".join(f"{key}={json_module.dumps(value)}" for key, value in options_said.items())
    seed = f" seed={step['seed']}" if "seed" in step else ""
    inputs = dict(step.get("inputs") or {})
    read = ", ".join(f"{role} {str(digest)[:12]}" for role, digest in inputs.items())
    return f"{step.get('stage')} ({step.get('version')}) {said}{seed}" + (
        f" <- {read}" if read else ""
    )
