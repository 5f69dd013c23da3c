"""Options of ``aggregate`` that ``watch`` has as well: the rule, what comes before it, and
how clients weigh."""

from __future__ import annotations

from typing import Annotated

import typer

Rule = Annotated[str, typer.Option("--rule", help="How to aggregate: see 'lomar list rules'.")]
Pre = Annotated[
    str | None,
    typer.Option(
        "--pre",
        metavar="LIST",
        help="What is done to the updates before the rule sees them, in this order: nnm, "
        "bucketing, arc, clipping ('lomar list pre').",
    ),
]
Weights = Annotated[
    str,
    typer.Option(
        "--weights",
        help="Clients weigh by the examples they say they have, or are counted uniform.",
    ),
]
MaxWeightShare = Annotated[
    float | None,
    typer.Option(
        "--max-weight-share",
        metavar="SHARE",
        min=0.0,
        max=1.0,
        help="The most that one client may have of all weight: 0.05 (default: no bound).",
    ),
]
