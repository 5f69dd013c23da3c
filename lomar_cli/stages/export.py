"""Write one of our files in a format that other programs read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from lomar_cli.errors import InputError, LomarError, OutputExistsError, UsageError
from lomar_cli.files import foreign, h5
from lomar_cli.files.atomic import check_output, sync_folder
from lomar_cli.files.model import read_model
from lomar_cli.files.parquet import write_parquet
from lomar_cli.files.round import Round, open_round
from lomar_cli.files.scores import format_of, read_scores, write_scores
from lomar_cli.files.stored_types import read_types
from lomar_cli.files.text import counted, printable

# Clients copied at a time; the rest of a large round stays in its file.
_MEMORY = 2**28


def export(
    path: Path,
    output: Path,
    kind: str | None = None,
    force: bool = False,
    folder: bool = False,
) -> str:
    """Export the round, model or scores in ``path``; return a sentence about what was written.

    A round goes to one ``.npz``, ``.safetensors`` or ``.pt`` (arrays over clients, and
    ``client_ids``) or, with ``folder`` or when neither ``kind`` nor the ending of ``output`` names
    a format, to a folder of one file a client (by default npz); a model to the same formats;
    scores to csv, tsv, json, h5, parquet.
    """
    if not h5.is_hdf5(path):
        if folder:
            raise UsageError("--folder: only a round has clients")
        return _scores(path, output, kind, force)
    types = {}
    with h5.open_read(path) as reader:
        found = reader.string("format").removeprefix("lomar/")
        if found == "round":
            types = read_types(reader)
    if found == "round":
        return _round(path, output, kind, force, folder, types)
    if folder:
        raise UsageError(f"--folder: only a round has clients, this is a {printable(found)} file")
    writers: dict[str, Callable[[Path, Path, str | None, bool], str]] = {
        "model": _model,
        "scores": _scores,
    }
    if found not in writers:
        raise InputError(f"{printable(str(path))}: a {printable(found)} file cannot be exported")
    return writers[found](path, output, kind, force)


def _scores(path: Path, output: Path, kind: str | None, force: bool) -> str:
    scores = read_scores(path)
    if (kind or output.suffix.lower().lstrip(".")) == "parquet":
        write_parquet(output, scores, force)
    else:
        write_scores(output, scores, kind or format_of(output), force)
    return counted(len(scores.clients), "client")


def _model(path: Path, output: Path, kind: str | None, force: bool) -> str:
    wanted = kind or foreign.format_of(output)
    if wanted not in foreign.FORMATS:
        raise UsageError(
            f"{printable(str(output))}: a model is exported as .npz, .safetensors or .pt"
        )
    model = read_model(path)
    foreign.write_parameters(output, wanted, model.parameters, force=force)
    return f"{len(model.parameters)} parameters"


def _round(
    path: Path,
    output: Path,
    kind: str | None,
    force: bool,
    folder: bool,
    types: Mapping[str, str],
) -> str:
    if kind is not None and kind not in foreign.FORMATS:
        raise UsageError(f"--format {kind}: a round is exported as {', '.join(foreign.FORMATS)}")
    by_ending = foreign.format_of(output)
    with open_round(path, _MEMORY) as found:
        names = found.head.clients
        wanted = kind or by_ending
        if wanted is None and not folder and output.suffix:
            raise UsageError(
                f"-o {printable(str(output))}: a round is exported as "
                f"{', '.join(foreign.ENDINGS)}, or to a folder: with --folder if it is to have "
                "that name"
            )
        if folder or wanted is None:
            _client_files(found, output, kind or "npz", force, types)
            return f"{counted(len(names), 'client')}, one file each"
        check_output(output, force)
        counts = found.head.num_examples
        tensors = foreign.sent(found.updates.tensors, types, wanted)
        try:
            foreign.write_clients(output, wanted, tensors, names, counts, force)
        except InputError as error:
            raise InputError(f"{printable(str(path))}: {error}") from None
        return f"{counted(len(names), 'client')} in one file"


def _client_files(
    found: Round, folder: Path, kind: str, force: bool, types: Mapping[str, str]
) -> None:
    """A folder with one file a client, made beside its place and renamed when complete."""
    if not folder.parent.is_dir():
        raise UsageError(
            f"{printable(str(folder))}: there is no folder {printable(str(folder.parent))}; "
            "make it first"
        )
    if folder.exists() and not force:
        raise OutputExistsError(f"{printable(str(folder))}: exists already; use -f to replace it")
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"{printable(str(folder))}: is a file; name a folder, or a file ending in "
            f"{', '.join(foreign.ENDINGS)}"
        )
    if folder.exists() and any(i.suffix.lower() not in foreign.ENDINGS for i in folder.iterdir()):
        raise UsageError(
            f"{printable(str(folder))}: holds more than exported files and is not replaced; "
            "name another folder"
        )
    for client in found.head.clients:
        if "/" in client or client.startswith(".") or len(client.encode()) > 240:
            raise UsageError(
                f"client '{printable(client, 40)}' cannot name a file; export to one .npz instead"
            )
    new = folder.parent / f".{folder.name}.new"
    old = folder.parent / f".{folder.name}.old"
    for leftover in (new, old):
        if leftover.exists():
            shutil.rmtree(leftover)
    tensors = foreign.sent(found.updates.tensors, types, kind)
    try:
        new.mkdir()
        for row, client in enumerate(found.head.clients):
            one = {name: tensor[row : row + 1][0] for name, tensor in tensors.items()}
            with (new / f"{client}.{kind}").open("wb") as stream:
                foreign.write_client(stream, kind, one, int(found.head.num_examples[row]))
                stream.flush()
                os.fsync(stream.fileno())
        sync_folder(new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise LomarError(
            f"{printable(str(folder))}: cannot be written: {error.strerror or error}"
        ) from None
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        for leftover in (new, old):
            if leftover.exists():
                shutil.rmtree(leftover)
