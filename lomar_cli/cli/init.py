"""``lomar init``."""

from __future__ import annotations

from typing import Annotated

import typer

from lomar_cli.cli import options
from lomar_cli.cli.console import say


@options.common
def command(
    source: Annotated[
        str, typer.Argument(metavar="SPLIT|DATASET", help="A split file, or a data set's name.")
    ],
    output: options.Output,
    model: options.Architecture = None,
    seed: options.Seed = 0,
    data_dir: options.DataDir = None,
    data_file: options.DataFile = None,
    image_size: options.ImageSize = None,
    label_column: options.LabelColumn = None,
    group_column: options.GroupColumn = None,
    force: options.Force = False,
) -> None:
    """Make the model that a federation starts from: writes a model file.

    'logistic' starts from zeros, all others from random numbers that depend on --seed alone.
    'lomar train' without --init starts from the same model if its --seed is the same; 'lomar
    aggregate' then needs the file.

    \b
    Example:
      lomar init split.h5 --model mlp --seed 1 -o model.h5
    """
    from lomar_cli.stages.init_model import init_model

    given = {"size": image_size, "label_column": label_column, "group_column": group_column}
    made = init_model(source, output, model or "logistic", seed, data_dir, data_file, given, force)
    count = sum(int(value.size) for value in made.parameters.values())
    say(f"{output}: {made.architecture} with {count:,} parameters, {len(made.labels)} labels")
