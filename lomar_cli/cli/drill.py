"""``lomar drill``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lomar_cli.cli import options, score_options
from lomar_cli.cli.cluster import engine as cluster_engine
from lomar_cli.cli.console import progress, say


def command(
    round_file: Annotated[Path, typer.Argument(metavar="ROUND", help="A round file.")],
    output: options.Folder,
    attacks: Annotated[
        str | None,
        typer.Option("--attacks", metavar="LIST", help="Attacks on rounds (default: every one)."),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods", metavar="LIST", help="Methods, or 'all' (default: the quick ones)."
        ),
    ] = None,
    shares: Annotated[
        str, typer.Option("--shares", metavar="LIST", help="Shares of attackers.")
    ] = "5%,10%,20%,40%",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many draws of each.")] = 2,
    history: options.History = None,
    root: options.Root = None,
    holdout: options.Holdout = None,
    model: score_options.StartModel = None,
    data_dir: options.DataDir = None,
    data_file: options.DataFile = None,
    memory: options.Memory = "2G",
    jobs: options.Jobs = None,
    cluster: options.Cluster = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Attack copies of your own round and see which method would have caught what.

    Needs no data and no training. Clients of the round are turned into attackers in memory; each
    method judges each copy, also those that --history, --root and --holdout are for, if given.
    Prints where each method begins to fail; writes that as tables, all numbers as CSV, one HTML
    page, and a heat map (extra 'plot').

    \b
    Examples:
      lomar drill round.h5 -o drill
      lomar drill round.h5 -o drill --methods all --shares 10%,30% --seeds 5
      lomar drill round-9.h5 -o drill --methods all --history rounds/ --root own.h5
      lomar drill round.h5 -o drill --cluster tcp://head:8786
    """
    from lomar_cli.cli.drill_table import print_drill
    from lomar_cli.errors import OutputExistsError, UsageError
    from lomar_cli.experiments.drill import Beside, drill
    from lomar_cli.experiments.drill_report import write_drill

    if output.exists() and not (force and output.is_dir()):
        raise OutputExistsError(f"{output}: exists already; use -f to replace its files")
    parts = []
    for text in options.split_list(shares) or []:
        try:
            parts.append(float(text.removesuffix("%")) / (100 if text.endswith("%") else 1))
        except ValueError:
            parts.append(-1.0)
    if not parts or not all(0 < part < 1 for part in parts):
        raise UsageError(f"--shares {shares}: must be shares such as 5%,10%,20%")
    with (
        cluster_engine(cluster, jobs) as engine,
        progress("attacking copies") as (begin, advance),
    ):
        done = drill(
            round_file,
            options.split_list(attacks),
            options.split_list(methods),
            parts,
            range(seeds),
            options.parse_size(memory, "--memory"),
            begin,
            advance,
            engine,
            Beside(history or [], root, options.held_out(holdout, data_dir, data_file), model),
        )
    written = write_drill(done, output, round_file.name)
    if not quiet:
        print_drill(done)
    say(f"{output}: {', '.join(path.name for path in written)}")
