"""Options that several commands share, each defined once, so that it means the same everywhere."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lomar_cli.attacks.label_flip import FLIP, FLIP_METAVAR
from lomar_cli.cli import console

if TYPE_CHECKING:
    from lomar_cli.stages.holdout import HeldOut

COMMON = "Common options"


def _set(name: str) -> object:
    def callback(value: bool) -> bool:
        if value:
            setattr(console.Settings, name, True)
        return value

    return callback


Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Print no summary and no progress.",
        callback=_set("quiet"),
        rich_help_panel=COMMON,
        show_default=False,
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Say more about what is done.",
        callback=_set("verbose"),
        rich_help_panel=COMMON,
        show_default=False,
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Show a traceback on errors.",
        callback=_set("debug"),
        is_eager=True,
        rich_help_panel=COMMON,
        show_default=False,
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", "-f", help="Replace the output if it exists.", show_default=False),
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FILE", help="What to write.", show_default=False),
]
OutputOrNone = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="What to write.")
]
Folder = Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="What to write.")]
FolderOrNone = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="What to write.")
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="How to write it, whatever -o ends in: csv, tsv, json, h5, "
        "parquet, npz, safetensors, pt.",
    ),
]
Rounds = Annotated[
    list[Path],
    typer.Argument(metavar="ROUND...", help="A round file, or the several files of one round."),
]
Layers = Annotated[
    str | None,
    typer.Option(
        "--layers",
        metavar="LIST",
        help="Only these parameters, by name or pattern: fc.*,conv1.weight",
    ),
]
FlipsOrNone = Annotated[list[str] | None, typer.Option("--flip", metavar=FLIP_METAVAR, help=FLIP)]
_SCORES = typer.Option(
    "--scores", metavar="FILE", help="A score table of the round, as 'lomar score -o' writes it."
)
Scores = Annotated[Path, _SCORES]
ScoresOrNone = Annotated[Path | None, _SCORES]
ManyScores = Annotated[list[Path] | None, _SCORES]
Truth = Annotated[
    Path | None,
    typer.Option("--truth", metavar="FILE", help="The truth: which clients are malicious."),
]
Device = Annotated[str, typer.Option("--device", help="A torch device: cpu, cuda.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same bytes.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="FOLDER",
        help="Where data sets lie, a folder each (default: $LOMAR_DATA_DIR).",
    ),
]
DataFile = Annotated[
    Path | None,
    typer.Option(
        "--data-file",
        metavar="FILE",
        help="Data sets npz and csv: your file (default: the one in --data-dir that fits).",
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        "--image-size", metavar="PIXELS", help="Data set images: the side to resize to (32)."
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        "--label-column", metavar="NAME", help="Data set csv: the label's column (the last)."
    ),
]
GroupColumn = Annotated[
    str | None,
    typer.Option(
        "--group-column",
        metavar="NAME",
        help="Data set csv: the column that says who a row comes from (none); no feature.",
    ),
]
Architecture = Annotated[
    str | None,
    typer.Option("--model", help="An architecture: see 'lomar list models' (default: logistic)."),
]
Malicious = Annotated[
    str | None,
    typer.Option("--malicious", help="Clients to add: 5, or 10% of the present ones."),
]
Convert = Annotated[
    str | None, typer.Option("--convert", help="Present clients to turn: 5 or 10%.")
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", min=1, help="Threads to use (default: one a core)."),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="Work on Dask: a scheduler's address (tcp://host:8786), its scheduler file (.json), "
        "or local:4, four processes here. Needs the extra 'cluster'.",
    ),
]
Memory = Annotated[
    str,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Memory to stay within, roughly: 500M, 2G.",
    ),
]
AssumeMalicious = Annotated[
    str | None,
    typer.Option(
        "--assume-malicious",
        metavar="M",
        help="Malicious clients to reckon with, for what needs to be told: 5 or 10% "
        "(default: a fifth of all).",
    ),
]
History = Annotated[
    list[Path] | None,
    typer.Option(
        "--history",
        metavar="ROUND",
        help="An earlier round, or a folder of them, for what remembers; once for each: "
        "--history a.h5 --history b.h5.",
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(
        "--root",
        metavar="ROUND",
        help="A round made from data of your own, for what compares with it.",
    ),
]
Holdout = Annotated[
    Path | None,
    typer.Option(
        "--holdout",
        metavar="SPLIT",
        help="A split file whose samples are your own, for what measures the loss of each step.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any other option of the method or rule ('lomar list methods' or 'lomar list rules' "
        "names them). Repeatable.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.", show_default=False)]

# What every command has. Their callbacks do all that they do: no command looks at them.
EVERYWHERE = (("quiet", Quiet, False), ("verbose", Verbose, False), ("debug", Debug, False))


def common(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that every command has to a command's own."""
    own = inspect.signature(command, eval_str=True).parameters.values()
    kind = inspect.Parameter.KEYWORD_ONLY
    added = [
        inspect.Parameter(name, kind, default=default, annotation=annotation)
        for name, annotation, default in EVERYWHERE
    ]
    parameters = [*(one.replace(kind=kind) for one in own), *added]

    def run(**given: Any) -> None:
        for one in added:
            given.pop(one.name)
        command(**given)

    # Not functools.wraps: who unwraps the command would miss the options added.
    run.__module__, run.__name__, run.__doc__ = (
        command.__module__,
        command.__name__,
        command.__doc__,
    )
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
    return run


def default_jobs(jobs: int | None) -> int:
    """The number of threads: what was asked for, or the cores this process may use."""
    import os

    if jobs is not None:
        return jobs
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else (os.cpu_count() or 1)


def parse_size(text: str, option: str) -> int:
    """Read ``2G``, ``500M``, ``64K`` or a number of bytes."""
    from lomar_cli.errors import UsageError

    units = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    factor = units.get(number[-1:], 1)
    try:
        value = float(number[:-1] if factor > 1 else number) * factor
    except ValueError:
        value = -1
    if not 1 <= value < 2**60:
        raise UsageError(f"{option} {text}: must be a size such as 500M or 2G")
    return int(value)


def parse_duration(text: str, option: str, least: float = 0.0) -> float:
    """Read ``10m``, ``2h``, ``1d``, ``0.5s`` or a number of seconds; at least ``least`` seconds."""
    import math

    from lomar_cli.errors import UsageError

    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    given = text.strip().lower()
    number = given[:-1] if given[-1:] in units else given
    try:
        value = float(number) * units.get(given[-1:], 1.0)
    except ValueError:
        value = math.nan
    if not least <= value < 10**9:
        raise UsageError(f"{option} {text}: must be a time such as 30s, 10m or 2h")
    return value


def held_out(holdout: Path | None, data_dir: Path | None, data_file: Path | None) -> HeldOut | None:
    """What ``--holdout`` and the options that say where its data set lies come to."""
    if holdout is None:
        return None
    from lomar_cli.stages.holdout import HeldOut

    return HeldOut(holdout, data_dir, data_file)


def named(files: list[Path]) -> str:
    """One file, or the first of several and how many they are, for a summary."""
    return str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


def split_list(text: str | None) -> list[str] | None:
    """Read a comma-separated list."""
    if text is None:
        return None
    return [part.strip() for part in text.split(",") if part.strip()]
