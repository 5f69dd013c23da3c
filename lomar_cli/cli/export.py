"""``lomar export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lomar_cli.cli import options
from lomar_cli.cli.console import say


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A round, model or score file.")],
    output: options.Output,
    kind: options.Format = None,
    folder: Annotated[
        bool,
        typer.Option(
            "--folder", help="A round: one file a client, in a folder.", show_default=False
        ),
    ] = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Write a file in a format that other programs read.

    A round or model becomes npz, safetensors or pt by the ending of -o; a round without one, or
    with --folder, a folder of one file a client. Scores become csv, tsv, json or parquet.
    '-o -' prints scores.

    \b
    Examples:
      lomar export round.h5 -o updates/
      lomar export round.h5 --folder --format safetensors -o updates/
      lomar export next.h5 -o next.pt
      lomar export scores.h5 -o scores.csv
    """
    from lomar_cli.stages.export import export

    if str(output) == "-":
        from lomar_cli.files.scores import read_scores, render

        print(render(read_scores(file), kind or "csv"), end="")
        return
    say(f"{output}: {export(file, output, kind, force, folder)}")
