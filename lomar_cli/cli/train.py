"""``lomar train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lomar_cli.cli import options
from lomar_cli.cli.cluster import engine as cluster_engine
from lomar_cli.cli.console import progress, say


@options.common
def command(
    split: Annotated[Path, typer.Argument(metavar="SPLIT", help="A split file.")],
    output: options.Output,
    model: options.Architecture = None,
    init: Annotated[
        Path | None,
        typer.Option(
            "--init",
            metavar="MODEL",
            help="The model file to start from (default: as 'init' makes it).",
        ),
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", help="Passes over a client's samples.")] = 5,
    local_steps: Annotated[
        int | None,
        typer.Option("--local-steps", help="Train this many batches instead of --epochs."),
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Samples in a batch.")] = 20,
    lr: Annotated[float, typer.Option("--lr", help="Learning rate of SGD.")] = 0.01,
    momentum: Annotated[
        float, typer.Option("--momentum", help="Momentum of SGD, in [0, 1).")
    ] = 0.0,
    weight_decay: Annotated[
        float, typer.Option("--weight-decay", help="Weight decay of SGD.")
    ] = 0.0,
    device: options.Device = "cpu",
    jobs: options.Jobs = None,
    cluster: options.Cluster = None,
    seed: options.Seed = 0,
    data_dir: options.DataDir = None,
    data_file: options.DataFile = None,
    force: options.Force = False,
) -> None:
    """Train every client of a split from one model: writes the round of their updates.

    Clients are trained together in batched computations; each gets the update that training it by
    itself would give. Needs the extra 'train'.

    Without --init they start from the model that 'lomar init' makes with the same --seed: zeros
    for 'logistic', random numbers for all others.

    With --cluster, Dask's workers train the clients in groups. They read the split, the model and
    the data set for themselves; the bytes are the same (docs/scale.md).

    \b
    Examples:
      lomar train split.h5 --init model.h5 --epochs 5 --batch-size 20 -o round.h5
      lomar train split.h5 --model squeezenet -o round.h5 --cluster tcp://head:8786
    """
    from lomar_cli.files.text import counted
    from lomar_cli.learning.registry import Training
    from lomar_cli.stages.train import train

    with (
        # Without a cluster the groups are trained in threads, which share the data set.
        cluster_engine(cluster, jobs if cluster else 1) as engine,
        progress("training clients") as (begin, advance),
    ):
        training = Training(
            epochs,
            local_steps,
            batch_size,
            lr,
            seed,
            device,
            options.default_jobs(jobs),
            momentum,
            weight_decay,
        )
        head = train(
            split,
            output,
            model,
            init,
            training,
            data_dir,
            force,
            advance,
            begin,
            data_file,
            engine,
        )
    say(
        f"{output}: round {head.round_number}, {counted(len(head.clients), 'client')}, "
        f"model {head.architecture}"
    )
