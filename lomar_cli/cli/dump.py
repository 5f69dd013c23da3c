"""``lomar dump``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from lomar_cli.cli import dump_options, options
from lomar_cli.cli.console import progress, say, warn
from lomar_cli.errors import ClientFileError, UsageError


def command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES_OR_FOLDERS...",
            help="Client files: npz, npy, safetensors, pt, HDF5, Flower array records.",
        ),
    ],
    output: options.Output,
    base_model: dump_options.BaseModel = None,
    differences: dump_options.Differences = False,
    gradients: dump_options.Gradients = None,
    layers: options.Layers = None,
    output_layer: dump_options.OutputLayer = None,
    label_axis: dump_options.LabelAxis = None,
    include: dump_options.Include = None,
    exclude: dump_options.Exclude = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="CSV_OR_JSON",
            help="Each client's num_examples (default: what the files say, or 1 each).",
        ),
    ] = None,
    client_pattern: dump_options.ClientPattern = None,
    round_number: Annotated[
        int | None,
        typer.Option(
            "--round", min=0, help="The round's number (default: what --weights says, or 1)."
        ),
    ] = None,
    shard: Annotated[
        int | None,
        typer.Option(
            "--shard",
            metavar="CLIENTS",
            min=1,
            help="Write several files of at most so many clients; {} in -o is their number.",
        ),
    ] = None,
    append: Annotated[
        bool,
        typer.Option(
            "--append",
            help="Add the clients to the round that -o names, while others append or read.",
            show_default=False,
        ),
    ] = False,
    skip_refused: Annotated[
        bool,
        typer.Option(
            "--skip-refused",
            help="Leave out, and name, files that cannot be read or are unlike most (reads all "
            "of them twice).",
            show_default=False,
        ),
    ] = False,
    max_bytes: dump_options.MaxBytes = "16G",
    force: options.Force = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Collect client files from another system in a round file.

    Say what the files hold: trained parameters (--base-model), updates (--differences) or
    gradients (--gradients).
    A client is named as its file. What a file is is told by its content. Pickles are never loaded.

    \b
    Examples:
      lomar dump updates/ --differences -o round.h5
      lomar dump clients/*.pt --base-model global.pt --output-layer fc.weight -o round.h5
      lomar dump runs/*/model.safetensors --client-pattern 'runs/(.+)/' --differences -o round.h5
      lomar dump late.npz --differences --append -o round.h5
      lomar dump updates/ --differences --shard 500 -o 'round-{}.h5'
      lomar dump strangers/ --base-model global.pt --skip-refused -o round.h5
    """
    limit = options.parse_size(max_bytes, "--max-bytes")
    if append and skip_refused:
        raise UsageError("--append: --skip-refused is for new rounds; leave out what is refused")
    if append:
        said = {
            "--force": force,
            "--output-layer": output_layer,
            "--label-axis": label_axis is not None,
            "--include": include,
            "--exclude": exclude,
            "--round": round_number is not None,
            "--shard": shard is not None,
        }
        _append(
            [name for name, given in said.items() if given],
            paths,
            output,
            base_model,
            differences,
            gradients,
            options.split_list(layers),
            weights,
            client_pattern,
            limit,
        )
        return
    from lomar_cli.files.text import counted
    from lomar_cli.stages.dump import Selection, dump

    with _hinted(paths, skip_refused), progress("reading clients") as (begin, advance):
        done = dump(
            paths,
            output,
            base_model,
            differences,
            Selection(
                options.split_list(layers),
                options.split_list(include) or [],
                options.split_list(exclude) or [],
            ),
            output_layer,
            label_axis,
            weights,
            round_number,
            client_pattern,
            limit,
            force,
            advance,
            begin,
            shard,
            gradients,
            skip_refused,
        )
    shown = str(output)
    if len(done.files) > 1:
        shown = f"{done.files[0]} to {done.files[-1].name}"
    elif done.files:
        shown = str(done.files[0])
    clients = counted(len(done.head.clients), "client")
    say(f"{shown}: {clients}, {counted(len(done.head.shapes), 'parameter')} each")
    say(done.output_layer)
    if done.head.buffers:
        say(f"not scored: {_named(sorted(done.head.buffers))}")
    _warn(done.warnings, done.ignored)


@contextlib.contextmanager
def _hinted(paths: Sequence[Path], skip_refused: bool) -> Iterator[None]:
    """Say, when one client's file ends the command, how to go on without it."""
    try:
        yield
    except ClientFileError as error:
        if skip_refused or (len(paths) == 1 and paths[0].is_file()):
            raise
        raise ClientFileError(f"{error}; --skip-refused goes on without such files") from None


def _append(
    said: list[str],
    paths: list[Path],
    output: Path,
    base_model: Path | None,
    differences: bool,
    gradients: float | None,
    layers: list[str] | None,
    weights: Path | None,
    client_pattern: str | None,
    max_bytes: int,
) -> None:
    from lomar_cli.files.text import counted
    from lomar_cli.stages.dump_append import append

    if said:
        raise UsageError(f"--append: {said[0]} is settled by the round; leave it out")
    with progress("appending clients") as (begin, advance):
        done = append(
            paths,
            output,
            base_model,
            differences,
            layers,
            weights,
            client_pattern,
            max_bytes,
            advance,
            begin,
            gradients,
        )
    say(f"{output}: {counted(done.appended, 'client')} appended, it holds {done.clients}")
    _warn(done.warnings, done.ignored)


def _warn(warnings: Sequence[str], ignored: Sequence[Path]) -> None:
    for warning in warnings:
        warn(warning)
    if ignored:
        names = _named([path.name for path in ignored])
        warn(f"passed over, as they are no client files: {names}")


def _named(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    from lomar_cli.files.text import printable

    shown = ", ".join(printable(name, 60) for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
