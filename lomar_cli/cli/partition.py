"""``lomar partition``."""

from __future__ import annotations

from typing import Annotated

import typer

from lomar_cli.cli import options
from lomar_cli.cli.console import detail, say


@options.common
def command(
    dataset: Annotated[str, typer.Argument(help="A data set's name: see 'lomar list datasets'.")],
    output: options.Output,
    clients: Annotated[
        int | None, typer.Option("--clients", help="How many clients (default: the paper's).")
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples-per-client", help="Samples of each (default: the paper's)."),
    ] = None,
    scheme: Annotated[
        str, typer.Option("--scheme", help="paper, iid, dirichlet, shards or natural.")
    ] = "paper",
    imbalance: Annotated[
        float | None,
        typer.Option(
            "--imbalance",
            metavar="LAMBDA",
            help="Scheme paper: share of a client's samples with its major label; 0 is i.i.d.",
        ),
    ] = None,
    rare: Annotated[
        str | None,
        typer.Option(
            "--rare",
            help="Scheme paper: labels with too few samples for a major label: refuse; skip, they "
            "are nobody's; repeat their samples (default: refuse, but repeat for kddcup99 and "
            "amazon).",
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option("--alpha", help="Scheme dirichlet: lower is more uneven (default 0.5)."),
    ] = None,
    shards: Annotated[
        int | None, typer.Option("--shards", help="Scheme shards: shards a client (default 2).")
    ] = None,
    seed: options.Seed = 0,
    data_dir: options.DataDir = None,
    data_file: options.DataFile = None,
    image_size: options.ImageSize = None,
    label_column: options.LabelColumn = None,
    group_column: options.GroupColumn = None,
    force: options.Force = False,
) -> None:
    """Divide a data set among clients: writes a split.

    Samples are kept as indices, with the data set's checksum.

    \b
    Examples:
      lomar partition digits --clients 60 --imbalance 0.5 -o split.h5
      lomar partition csv --data-file table.csv --label-column kind -o split.h5
      lomar partition csv --data-file t.csv --scheme natural --group-column site -o split.h5
    """
    from lomar_cli.stages.partition import partition

    given = {"imbalance": imbalance, "rare": rare, "alpha": alpha, "shards": shards}
    own = {"size": image_size, "label_column": label_column, "group_column": group_column}
    split = partition(
        dataset, output, clients, samples, scheme, given, seed, data_dir, force, data_file, own
    )
    sizes = sorted({len(own) for own in split.samples})
    each = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    say(f"{output}: {len(split.clients)} clients x {each} samples of {dataset}, scheme {scheme}")
    detail(f"data set checksum {split.dataset_sha256}")
