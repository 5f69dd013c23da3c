"""Options that say how a round is judged, for every command that judges one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

# As in scoring.registry, which takes longer to load than --help takes.
DEFAULT_METHOD = "lomar-auto"

_METHOD = typer.Option(
    "--method",
    "-m",
    help="A method: see 'lomar list methods'. lomar-auto (default) finds both kinds of label "
    "flippers and others without knowing their number; lomar is the paper's, as printed.",
    show_default=False,
)
Method = Annotated[str, _METHOD]
MethodOrNone = Annotated[str | None, _METHOD]
Neighbors = Annotated[
    str | None,
    typer.Option(
        "--neighbors",
        "-k",
        metavar="K",
        help="With lomar and lof: the neighbours, 50, or 0.5n of the clients (default).",
    ),
]
Bandwidth = Annotated[
    str | None,
    typer.Option(
        "--bandwidth",
        metavar="H",
        help="With lomar and kde: the kernel's bandwidth, 0.02, or 0.1x the median neighbour "
        "distance of each label (lomar's default).",
    ),
]
Kernel = Annotated[
    str | None,
    typer.Option("--kernel", help="With lomar: laplace (default: eq. 6 as printed) or gaussian."),
]
Epsilon = Annotated[
    str | None,
    typer.Option(
        "--epsilon",
        help="With lomar: the threshold on the factor, a number; paper: min(1, eps_m) (default); "
        "paper-lower: with eq. 10's other root; auto: the widest gap below the median, which "
        "even an honest round has.",
    ),
]
FalseAlarm = Annotated[
    float | None,
    typer.Option(
        "--false-alarm",
        help="With lomar-auto: the share of clean clients that may be removed (default 0.01, "
        "below 0.5). With lomar: the bound that eps_m is solved for (default 0.05). With "
        "robust-covariance: the share beyond its quantile (default 0.025).",
    ),
]
Views = Annotated[
    str | None,
    typer.Option(
        "--views",
        metavar="LIST",
        help="With lomar-auto: the views to judge by, such as near,far (default: all; a name "
        "that is none lists them).",
    ),
]
NeighborsSearch = Annotated[
    str | None,
    typer.Option(
        "--neighbors-search",
        help="With lomar: exact (default), or approximate (needs the extra ann): for 20,000 "
        "clients and more, with a small -k.",
    ),
]
ClientGroups = Annotated[
    Path | None,
    typer.Option(
        "--client-groups",
        metavar="FILE",
        help="A CSV (client,group) or JSON that says of what kind clients are, such as their "
        "device: each kind of 10 or more is judged by itself.",
    ),
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
