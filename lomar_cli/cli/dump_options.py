"""Options of ``dump`` that ``watch`` has as well: what client files hold and are called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BaseModel = Annotated[
    Path | None,
    typer.Option(
        "--base-model",
        metavar="FILE",
        help="The files hold trained parameters; take the difference to this model.",
    ),
]
Differences = Annotated[
    bool,
    typer.Option("--differences", help="The files hold updates already.", show_default=False),
]
Gradients = Annotated[
    float | None,
    typer.Option(
        "--gradients",
        metavar="LEARNING_RATE",
        help="The files hold gradients, which a step takes away times this (scores: 1 will do).",
    ),
]
OutputLayer = Annotated[
    str | None,
    typer.Option(
        "--output-layer",
        metavar="NAME",
        help="The weight with a block per label (fc.weight), or 'none'.",
    ),
]
LabelAxis = Annotated[
    int | None,
    typer.Option("--label-axis", help="Its axis over labels: 0 in torch, 1 in Keras and JAX."),
]
Include = Annotated[
    str | None,
    typer.Option(
        "--include",
        metavar="LIST",
        help="Score these although they are integers or running statistics.",
    ),
]
Exclude = Annotated[
    str | None,
    typer.Option(
        "--exclude",
        metavar="LIST",
        help="Do not score these either, by name or pattern; they are aggregated all the same.",
    ),
]
ClientPattern = Annotated[
    str | None,
    typer.Option(
        "--client-pattern",
        metavar="REGEX",
        help="A client's name is the first group of what this finds in its file's path.",
    ),
]
MaxBytes = Annotated[
    str, typer.Option("--max-bytes", metavar="SIZE", help="Refuse files that declare more.")
]
