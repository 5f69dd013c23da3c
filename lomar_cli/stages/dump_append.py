"""Append client files from another system to a round that is there already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lomar_cli.errors import InputError, LomarError, UsageError
from lomar_cli.files.append import append_client
from lomar_cli.files.h5 import open_read
from lomar_cli.files.importers.base import DEFAULT_MAX_BYTES, Arrays, One
from lomar_cli.files.importers.registry import read_parameters
from lomar_cli.files.model import parameters_sha256
from lomar_cli.files.round import RoundHead, open_round
from lomar_cli.files.sidecar import read_sidecar
from lomar_cli.files.stored_types import read_types
from lomar_cli.files.text import printable
from lomar_cli.stages.client_files import ClientFiles, chosen, compare_shapes, idle_warning
from lomar_cli.stages.direction import Direction
from lomar_cli.stages.flat import Flat
from lomar_cli.stages.held import Said


@dataclass(frozen=True)
class Appended:
    """How many clients were appended, and how many the round held after the last of them.

    ``warnings`` are sentences that no one should miss.
    """

    appended: int
    clients: int
    ignored: Sequence[Path]
    warnings: Sequence[str] = ()


def append(
    paths: Sequence[Path],
    output: Path,
    base_model: Path | None = None,
    differences: bool = False,
    layers: Sequence[str] | None = None,
    weights: Path | None = None,
    client_pattern: str | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
    advance: Callable[[int], None] = lambda count: None,
    begin: Callable[[int], None] = lambda total: None,
    gradients: float | None = None,
) -> Appended:
    """Add the client files ``paths`` (files or folders; any known format) to the round ``output``.

    Others may append and read meanwhile. What the files hold is said as to ``dump.dump``; all else
    is as in the round: parameters, shapes and types must be its own, ``base_model`` the model that
    it starts from. Sample counts come from ``weights``, else from the files; clients without count
    1 each where the round's do.

    Every file is read twice: all are checked before the first is appended. InputError for what does
    not fit, LomarError for what could not be written; what another process changes meanwhile may
    leave some appended, and the error then says how many.
    """
    held = Said(base_model, differences, gradients)
    head, types, made = _head(output)
    _check_step(held, made, output)
    base = _base(base_model, head, layers, output, max_bytes)
    clients = ClientFiles.find(paths, max_bytes, client_pattern)
    there = set(head.clients)
    for name in clients.names:
        if name in there:
            raise InputError(
                f"{printable(str(output))}: there is a client '{printable(name, 40)}' already; "
                "leave its file out"
            )
    given = read_sidecar(weights).num_examples if weights is not None else None
    direction = Direction(
        None if base is None else {n: base[n] for n in _scored(head)}, gradients is not None
    )
    flat = Flat()
    counts = []
    for name, (path, one) in zip(clients.names, clients.read(max_bytes, layers), strict=True):
        _check(one, head, types, held, path, output)
        counts.append(_count(name, one, given, head, path, str(weights)))
        arrays = {n: one.arrays[n] for n in _scored(head)}
        direction.add(arrays)
        if base is not None:
            flat.add(name, arrays)
    begin(len(counts))
    done, total = 0, len(head.clients)
    again = zip(clients.names, counts, clients.read(max_bytes, layers), strict=True)
    for name, count, (_, one) in again:
        try:
            total = append_client(output, name, count, held.updates(one.arrays, base, head))
        except LomarError as error:
            if not done:
                raise
            raise type(error)(f"{error}; {done} of {len(counts)} clients were appended") from None
        done += 1
        advance(1)
    told = [direction.warning(), flat.warning(), idle_warning(clients.names, counts)]
    warnings = filter(None, told)
    return Appended(done, total, clients.ignored, list(warnings))


def _check_step(held: Said, made: Mapping[str, Any], output: Path) -> None:
    """UsageError where the round was dumped from gradients, or others, and these are none."""
    there = made.get("gradients")
    if not made or there == held.gradients:
        return
    # Whatever a stranger's file holds there.
    what = "no --gradients" if there is None else f"--gradients {printable(str(there), 20)}"
    raise UsageError(
        f"--gradients: {printable(str(output))}: was made with {what}; append what it was made of"
    )


def _head(output: Path) -> tuple[RoundHead, dict[str, str], Mapping[str, Any]]:
    """The round's head, the types that its clients sent where they are not the round's, and what
    was said when it was dumped (nothing if it was not)."""
    if not output.exists():
        raise UsageError(
            f"--append: {printable(str(output))}: no such file; make the round with its first "
            "clients, without --append"
        )
    # Nothing but the head is looked at here; whoever appends checks the digest.
    with open_round(output, 0, verify=False) as found, open_read(output, "round") as reader:
        steps = [step for step in found.provenance if step.get("stage") == "dump"]
        return found.head, read_types(reader), steps[-1].get("options", {}) if steps else {}


def _base(
    path: Path | None,
    head: RoundHead,
    layers: Sequence[str] | None,
    output: Path,
    max_bytes: int,
) -> Arrays | None:
    """The base model's arrays, known to be those that the round starts from."""
    if path is None:
        return None
    shown = printable(str(output))
    if not head.base_sha256:
        raise UsageError(
            f"--base-model: {shown}: does not say which model it starts from, as it was made with "
            "--differences or --gradients; append what it was made of"
        )
    found = chosen(read_parameters(path, max_bytes), layers, path).arrays
    digest = parameters_sha256(found)
    if digest != head.base_sha256:
        raise InputError(
            f"{printable(str(path))}: is not the model that {shown} starts from "
            f"({digest[:12]}, needed is {head.base_sha256[:12]})"
        )
    return found


def _check(
    one: One,
    head: RoundHead,
    types: Mapping[str, str],
    held: Said,
    path: Path,
    output: Path,
) -> None:
    shown, there = printable(str(path)), printable(output.name)
    compare_shapes(one, head.shapes, path, there)
    for name, array in one.arrays.items():
        kind = held.kind(name, array.dtype, head.buffers)
        # What a round does not say of its clients' types, as after a filter, is not held to.
        same = one.types[name] == types.get(name, one.types[name])
        if kind != head.dtypes[name].newbyteorder("=") or not same:
            raise InputError(
                f"{shown}: {printable(name)}: has type {one.types[name]}, {there} has "
                f"{types.get(name, head.dtypes[name])}; all clients must send one type"
            )


def _count(
    client: str,
    one: One,
    given: Mapping[str, int] | None,
    head: RoundHead,
    path: Path,
    source: str,
) -> int:
    """How many samples the client has: 1 stands for "nothing said", as in the round."""
    if given is not None:
        if client not in given:
            raise InputError(
                f"{printable(source)}: has no line for client '{printable(client, 40)}'"
            )
        return given[client]
    said = bool((head.num_examples != 1).any())
    if (one.num_examples is not None) != said:
        has, others = ("has no", "have") if said else ("has", "count 1 each")
        raise InputError(
            f"{printable(str(path))}: {has} num_examples, the round's clients {others}; say with "
            "--weights how many samples it has"
        )
    return one.num_examples if one.num_examples is not None else 1


def _scored(head: RoundHead) -> list[str]:
    return [name for name in head.shapes if name not in head.buffers]
