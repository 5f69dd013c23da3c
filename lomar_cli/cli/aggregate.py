"""``lomar aggregate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lomar_cli.cli import aggregate_options, options
from lomar_cli.cli.console import print_json, say, warn


def command(
    rounds: options.Rounds,
    output: options.Output,
    scores: options.ScoresOrNone = None,
    rule: aggregate_options.Rule = "fedavg",
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="FILE", help="The model that the updates start from."),
    ] = None,
    from_zero: Annotated[
        bool,
        typer.Option(
            "--from-zero", help="Write the aggregated update by itself.", show_default=False
        ),
    ] = False,
    renormalize: Annotated[
        bool,
        typer.Option(
            "--renormalize/--no-renormalize",
            help="Share out the weight of removed clients, or not, as eq. 3 is printed.",
        ),
    ] = True,
    pre: aggregate_options.Pre = None,
    weights: aggregate_options.Weights = "examples",
    max_weight_share: aggregate_options.MaxWeightShare = None,
    assume_malicious: options.AssumeMalicious = None,
    history: options.History = None,
    root: options.Root = None,
    holdout: options.Holdout = None,
    data_dir: options.DataDir = None,
    data_file: options.DataFile = None,
    seed: options.Seed = 0,
    settings: options.Settings = None,
    json: options.Json = False,
    memory: options.Memory = "2G",
    force: options.Force = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Aggregate the updates into the next model, without the clients that scores flag.

    The model is written as -o ends: npz, safetensors, pt, or else a model file of lomar's own.
    Says who was left out; --json says it of every client.
    An option of a pre-aggregation is set by its name: --set bucketing.size=4.

    \b
    Examples:
      lomar aggregate round.h5 --scores scores.h5 --model model.h5 -o next.h5
      lomar aggregate round.h5 --model base.pt -o next.safetensors
      lomar aggregate round.h5 --pre nnm --rule trimmed-mean --assume-malicious 10% -o next.h5
    """
    from lomar_cli.scoring.options import parse_settings
    from lomar_cli.stages.aggregate import aggregate, document

    done = aggregate(
        rounds,
        output,
        scores,
        rule,
        parse_settings(settings),
        model,
        renormalize,
        from_zero,
        options.parse_size(memory, "--memory"),
        force,
        pre=options.split_list(pre) or [],
        seed=seed,
        weights_by=weights,
        max_weight_share=max_weight_share,
        assume_malicious=assume_malicious,
        history=history or [],
        root=root,
        held_out=options.held_out(holdout, data_dir, data_file),
    )
    for note in done.notes:
        say(f"note: {note}")
    for warning in done.warnings:
        warn(warning)
    before = f", after {pre}" if pre else ""
    if json:
        print_json(document(done))
    say(
        f"{output}: model after round {done.model.round_number}, "
        f"{int(done.used.sum())} of {len(done.used)} clients used, rule {rule}{before}"
        + _left_out(
            [client for client, used in zip(done.clients, done.used, strict=True) if not used]
        )
    )
    if not done.base_checked and not from_zero:
        warn("the round does not say which model it starts from, so --model could not be checked")


def _left_out(clients: list[str]) -> str:
    """The first few of those that took no part."""
    from lomar_cli.files.text import listed, printable

    if not clients:
        return ""
    return f" (without {listed([printable(client, 40) for client in clients])})"
