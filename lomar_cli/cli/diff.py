"""``lomar diff``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from lomar_cli.cli import options
from lomar_cli.cli.console import print_json, say


def command(
    a: Annotated[Path, typer.Argument(metavar="A", help="A file that lomar wrote.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another of the same kind.")],
    tolerance: Annotated[
        float,
        typer.Option("--tolerance", min=0.0, help="Numbers no further apart count as the same."),
    ] = 0.0,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> int:
    """Say what differs between two files of one kind. Exit 1 if anything does.

    Settings, clients, decisions, and of numbers the largest difference. The bytes, their layout in
    the file and the version that wrote them make no difference.

    \b
    Examples:
      lomar diff scores1.h5 scores2.csv
      lomar diff round1.h5 round2.h5 --tolerance 1e-6
    """
    from lomar_cli.files.text import printable
    from lomar_cli.stages.diff import diff

    found = diff(a, b, tolerance)
    if json:
        print_json(
            {
                "schema_version": 1,
                "a": str(a),
                "b": str(b),
                "kind": found.kind,
                "same": not found.differences,
                "differences": [entry.document() for entry in found.differences],
            }
        )
        return 1 if found.differences else 0
    for entry in found.differences:
        about, field = f"{entry.about:<10}", printable(entry.field)
        if entry.at is not None:
            largest = "not finite" if entry.largest is None else f"{entry.largest:.6g}"
            at = printable(entry.at, 40)
            print(f"{about}  {field}: {entry.a} differ, most by {largest} ({at})")
        elif entry.largest is not None and entry.a == entry.b:
            print(f"{about}  {field}: differs by up to {entry.largest:.6g}")
        else:
            print(f"{about}  {field}: {_shown(entry.a)} -> {_shown(entry.b)}")
    many = len(found.differences)
    say(f"{many} differences" if many else f"the same {found.kind}")
    return 1 if many else 0


def _shown(value: Any) -> str:
    from lomar_cli.files.text import printable

    text = value if isinstance(value, str) else json_module.dumps(value, ensure_ascii=False)
    return printable(text, 80)
