"""``lomar validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lomar_cli.cli import options
from lomar_cli.cli.console import detail, print_json, warn


def command(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES...", help="Files that lomar wrote, or folders of their .h5 files."
        ),
    ],
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> int:
    """Check everything a reader can check: structure, ranges, checksums. Exit 3 if any file is bad.

    Where a file's provenance names another of the given files (by its SHA-256), the two are held
    against each other; with -v every input is listed, and whether it was given.

    \b
    Examples:
      lomar validate split.h5 round.h5 scores.h5
      lomar validate rounds/
    """
    from lomar_cli.errors import InputError
    from lomar_cli.files.text import printable
    from lomar_cli.stages.validate import validate

    results = validate(files)
    if json:
        print_json({"schema_version": 1, "files": [result.document() for result in results]})
        return 0 if all(result.error is None for result in results) else InputError.exit_code
    for result in results:
        name = printable(str(result.file))
        if result.error is not None:
            print(f"invalid  {result.error}")
            continue
        here = sum(entry["file"] is not None for entry in result.inputs)
        inputs = f"; {here} of {len(result.inputs)} inputs given" if here else ""
        print(f"ok       {name} ({result.kind}{inputs})")
        for entry in result.inputs:
            found = printable(entry["file"]) if entry["file"] else "not given"
            role = printable(f"{entry['stage']}: {entry['role']} {str(entry['sha256'])[:12]}")
            detail(f"         {role} {found}")
        for warning in result.warnings:
            warn(f"{name}: {warning}")
    return 0 if all(result.error is None for result in results) else InputError.exit_code
