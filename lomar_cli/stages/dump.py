"""Turn client files from another system into a round file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.files.atomic import check_output
from lomar_cli.files.buffers import find_buffers
from lomar_cli.files.digests import clients_digest
from lomar_cli.files.h5 import open_read
from lomar_cli.files.importers.base import DEFAULT_MAX_BYTES, Arrays, One
from lomar_cli.files.importers.registry import read_parameters
from lomar_cli.files.model import parameters_sha256
from lomar_cli.files.output_layer import resolve_output
from lomar_cli.files.provenance import extend, file_sha256
from lomar_cli.files.round import RoundHead, create_round
from lomar_cli.files.sidecar import Sidecar, read_sidecar
from lomar_cli.files.stored_types import write_types
from lomar_cli.files.stretches import ahead
from lomar_cli.files.text import listed, printable
from lomar_cli.stages.client_files import ClientFiles, chosen, client_counts, compare, idle_warning
from lomar_cli.stages.direction import Direction
from lomar_cli.stages.dump_shards import Target, check_name, left_over, targets
from lomar_cli.stages.flat import Flat
from lomar_cli.stages.held import Said
from lomar_cli.stages.sift import Sifted, Wanted, sift


@dataclass(frozen=True)
class Dumped:
    """The new round's head, how its output layer was found, and which files were passed over.

    ``warnings`` are sentences that no one should miss. ``files`` were written, in order.
    """

    head: RoundHead
    output_layer: str
    ignored: Sequence[Path]
    warnings: Sequence[str] = ()
    files: Sequence[Path] = ()


@dataclass(frozen=True)
class Selection:
    """Which parameters: ``layers`` alone are kept (None: all), and which of them are scored.

    ``include`` are patterns of buffers to score all the same, ``exclude`` of parameters not to.
    """

    layers: Sequence[str] | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()


def dump(
    paths: Sequence[Path],
    output: Path,
    base_model: Path | None = None,
    differences: bool = False,
    selection: Selection | None = None,
    output_layer: str | None = None,
    label_axis: int | None = None,
    weights: Path | None = None,
    round_number: int | None = None,
    client_pattern: str | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
    force: bool = False,
    advance: Callable[[int], None] = lambda count: None,
    begin: Callable[[int], None] = lambda total: None,
    shard: int | None = None,
    gradients: float | None = None,
    skip_refused: bool = False,
) -> Dumped:
    """Write the round of the client files ``paths`` (files or folders; any known format).

    With ``base_model`` the files hold trained parameters and the difference is stored; with
    ``differences`` they hold updates already; and with ``gradients``, a learning rate, what a step
    takes away times it. One of the three must be said. Memory is bounded by a few clients.
    ``weights`` is a sidecar (``sidecar.read_sidecar``); ``round_number`` counts before the one that
    it may name.

    With ``skip_refused`` all files are read twice, and those left out that ``sift`` refuses.

    With ``shard`` the round is written as files of at most so many clients, each complete or
    absent, which only together are the round; ``{}`` in the name of ``output`` is their number.
    """
    check_name(output, shard)
    if shard is None:
        check_output(output, force)
    held = Said(base_model, differences, gradients)
    selection = selection or Selection()
    origin = _base(base_model, selection.layers, max_bytes)
    beside = read_sidecar(weights) if weights is not None else None
    sifted: Sifted | None = None
    if skip_refused:
        given = None if beside is None else beside.num_examples
        wanted = Wanted(max_bytes, selection.layers, origin, client_pattern, given)
        sifted = sift(paths, wanted, advance, begin)
        clients = sifted.clients
    else:
        clients = ClientFiles.find(paths, max_bytes, client_pattern)
    files = targets(output, len(clients.names), shard, force)
    _, first = next(iter(clients.read(max_bytes, selection.layers)))
    if base_model is not None and origin is not None:
        compare(origin, first, base_model, printable(clients.files[0].name), base=True)
    base = None if origin is None else origin.arrays
    head, how = _head(
        clients, first, held, base, beside, round_number, selection, output_layer, label_axis
    )
    inputs: dict[str, str] = {}
    if weights is not None:
        inputs["weights"] = file_sha256(weights)
    if base is not None:
        inputs["base_model"] = head.base_sha256
    said = _said(head, held, selection, client_pattern, shard)
    if sifted is not None:
        said["skipped"] = sifted.names
    scored = [name for name in head.shapes if name not in head.buffers]
    direction = Direction(
        None if base is None else {name: base[name] for name in scored}, gradients is not None
    )
    flat = Flat()
    begin(len(clients.names) + (0 if sifted is None else sifted.looked_at))
    counts: list[int | None] = []
    found: list[int] = []

    def counted(upto: int) -> list[int]:
        given = beside.num_examples if beside is not None else None
        return client_counts(clients.names[:upto], counts, given, printable(str(weights)))

    before = ""
    # One thread reads, one hashes the clients, and this one writes: each waits for the disk or
    # computes outside Python.
    with (
        ThreadPoolExecutor(1) as pool,
        contextlib.closing(ahead(clients.read(max_bytes, selection.layers))) as stream,
    ):
        for target in files:
            part = replace(
                head,
                clients=clients.names[target.start : target.stop],
                num_examples=head.num_examples[target.start : target.stop],
            )
            own = dict(inputs)
            steps = extend("dump", said, own)
            shard_of = target.shard(before)
            with create_round(target.path, part, steps, force, pool, shard_of) as writer:
                # In this order, as zip looks at the rows first and leaves the next file's client.
                for row, (_, one) in zip(range(len(part.clients)), stream, strict=False):
                    own_arrays = {name: one.arrays[name] for name in scored}
                    direction.add(own_arrays)
                    if base is not None:
                        flat.add(part.clients[row], own_arrays)
                    sent = held.updates(one.arrays, base, head)
                    writer.write(row, {name: array[None] for name, array in sent.items()})
                    counts.append(one.num_examples)
                    advance(1)
                # Known only now; the steps are written when the round is sealed.
                own["clients"] = clients_digest(writer.digests(), part.clients)
                found = counted(target.stop)
                writer.handle["clients/num_examples"][...] = np.array(
                    found[target.start :], np.int64
                )
                write_types(writer.handle, held.types(first.types, head.buffers))
            if target.number != target.of and target.of is not None:
                before = _digest(target)
    told = [direction.warning(), flat.warning(), idle_warning(clients.names, found)]
    warnings = [*filter(None, told), *_warned(output, files)]
    written = [target.path for target in files]
    head = replace(head, num_examples=np.array(found, np.int64))
    if sifted is not None:
        warnings = [*sifted.warnings(), *warnings]
    return Dumped(head, how, clients.ignored, warnings, written)


def _digest(target: Target) -> str:
    with open_read(target.path, "round") as reader:
        return reader.content_sha256()


def _warned(output: Path, files: Sequence[Target]) -> list[str]:
    others = [printable(path.name, 60) for path in left_over(output, files)]
    if not others:
        return []
    return [
        f"{listed(others)}: not of this set, though named like it; a pattern such as "
        f"{printable(output.name.replace('{}', '*'))} would take them for part of the round"
    ]


def _head(
    clients: ClientFiles,
    first: One,
    held: Said,
    base: Arrays | None,
    beside: Sidecar | None,
    round_number: int | None,
    selection: Selection,
    output_layer: str | None,
    label_axis: int | None,
) -> tuple[RoundHead, str]:
    """The round's head, its counts still to come, and how the output layer was found."""
    buffers = find_buffers(first.types, selection.include, selection.exclude)
    shapes = {name: array.shape for name, array in first.arrays.items()}
    scored = {name: shape for name, shape in shapes.items() if name not in buffers}
    layer, how = resolve_output(scored, output_layer, label_axis)
    number = round_number
    if number is None:
        number = beside.round_number if beside is not None else None
    kinds = {name: held.kind(name, array.dtype, buffers) for name, array in first.arrays.items()}
    head = RoundHead(
        clients=clients.names,
        num_examples=np.ones(len(clients.names), np.int64),
        shapes=shapes,
        dtypes=kinds,
        output=layer,
        labels=[],
        round_number=1 if number is None else number,
        base_sha256=parameters_sha256(base) if base is not None else "",
        buffers=buffers,
    )
    return head, how


def _said(
    head: RoundHead,
    held: Said,
    selection: Selection,
    client_pattern: str | None,
    shard: int | None,
) -> dict[str, Any]:
    said: dict[str, Any] = {
        **held.provenance(),
        "layers": list(selection.layers) if selection.layers else None,
        "output_layer": head.output.weight if head.output else None,
        "label_axis": head.output.label_axis if head.output else None,
        "round_number": head.round_number,
    }
    if selection.include or selection.exclude:
        said["include"], said["exclude"] = list(selection.include), list(selection.exclude)
    if client_pattern is not None:
        said["client_pattern"] = client_pattern
    if shard is not None:
        said["shard"] = shard
    return said


def _base(path: Path | None, layers: Sequence[str] | None, max_bytes: int) -> One | None:
    return None if path is None else chosen(read_parameters(path, max_bytes), layers, path)
