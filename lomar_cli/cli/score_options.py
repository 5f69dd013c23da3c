"""Options that say how a round is judged, for every command that judges one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

# As in scoring.registry, which takes longer to load than --help takes.
DEFAULT_METHOD = "lomar"

_METHOD = typer.Option("--method", "-m", help="A method: see 'lomar list methods'.")
Method = Annotated[str, _METHOD]
MethodOrNone = Annotated[str | None, _METHOD]
Neighbors = Annotated[
    str | None,
    typer.Option(
        "--neighbors",
        "-k",
        metavar="K",
        help="Neighbours: 50, or 0.5n of the clients (default).",
    ),
]
Bandwidth = Annotated[
    str | None,
    typer.Option(
        "--bandwidth",
        metavar="H",
        help="Kernel bandwidth: 0.02, or 0.1x the median neighbour distance of each label "
        "(default).",
    ),
]
Kernel = Annotated[
    str | None,
    typer.Option("--kernel", help="laplace (default: eq. 6 as printed) or gaussian."),
]
Epsilon = Annotated[
    str | None,
    typer.Option(
        "--epsilon",
        help="Threshold on the factor: a number; paper: min(1, eps_m) (default); paper-lower: "
        "with eq. 10's other root; auto: the widest gap below the median, which even an "
        "honest round has.",
    ),
]
FalseAlarm = Annotated[
    float | None,
    typer.Option("--false-alarm", help="The bound that eps_m is solved for (default 0.05)."),
]
StartModel = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="FILE",
        help="With --holdout: the model that the updates start from (default: all zeros).",
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="Draw it: a png, svg or pdf (extra 'plot')."),
]


def method_options(settings: list[str] | None, **given: Any) -> dict[str, Any]:
    """A method's options by name: those with an option of their own, and ``--set``'s."""
    from lomar_cli.scoring.options import parse_settings

    return {**given, **parse_settings(settings)}
