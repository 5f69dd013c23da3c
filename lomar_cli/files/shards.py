"""Several round files that are one round: shards of a set, or rounds of one model side by side."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lomar_cli.errors import InputError
from lomar_cli.files import h5
from lomar_cli.files.round_head import RoundHead
from lomar_cli.files.text import printable

_DIGEST = re.compile("[0-9a-f]{64}")
_NUMBER, _OF, _BEFORE = "shard", "shards", "shard_before"


@dataclass(frozen=True)
class Shard:
    """That a file is the ``number``-th, from 1, ``of`` so many that were written as one round.

    ``before`` is the ``content_sha256`` of the shard before it, "" for the first. So the last one
    vouches for all, and shards of different sets do not pass for one.
    """

    number: int
    of: int
    before: str = ""

    def __str__(self) -> str:
        return f"shard {self.number} of {self.of}"


@dataclass(frozen=True)
class RoundFile:
    """One file of a round: who it is, and the stored digests of its clients, in order."""

    path: Path
    head: RoundHead
    sha256: str
    shard: Shard | None
    digests: Sequence[str] = ()

    @property
    def shown(self) -> str:
        return printable(str(self.path))


def write_shard(handle: h5py.File, shard: Shard) -> None:
    handle.attrs[_NUMBER] = np.int64(shard.number)
    handle.attrs[_OF] = np.int64(shard.of)
    h5.write_text(handle, _BEFORE, shard.before)


def read_shard(reader: h5.Reader) -> Shard | None:
    """Which shard an open round is; None for a round that is no shard."""
    if _NUMBER not in reader.handle.attrs:
        return None
    number, of = reader.integer(_NUMBER), reader.integer(_OF)
    if not 1 <= number <= of:
        raise reader.fault(_NUMBER, f"is {number} of {of}")
    before = reader.string(_BEFORE)
    if number == 1 and before:
        raise reader.fault(_BEFORE, "must be empty, as nothing comes before the first shard")
    if number > 1 and not _DIGEST.fullmatch(before):
        raise reader.fault(_BEFORE, "must be the SHA-256 of the shard before")
    return Shard(number, of, before)


def check_different(paths: Sequence[Path]) -> None:
    """Refuse one file under two names; what is not there is for the reader to say."""
    seen: dict[tuple[int, int], Path] = {}
    for path in paths:
        if not path.exists():
            continue
        place = (path.stat().st_dev, path.stat().st_ino)
        if place in seen:
            shown, first = printable(str(path)), printable(str(seen[place]))
            twice = "is named twice" if shown == first else f"is the same file as {first}"
            raise InputError(f"{shown}: {twice}; name every file of a round once")
        seen[place] = path


def in_order(files: Sequence[RoundFile]) -> list[RoundFile]:
    """The files as given, but shards of a set together, by their numbers.

    InputError for a set that is not there as a whole, and for two files that hold the same.
    """
    known = {one.sha256: one for one in files}
    if len(known) < len(files):
        first = next(one for one in files if known[one.sha256] is not one)
        raise InputError(f"{known[first.sha256].shown}: holds the same as {first.shown}")
    ordered: list[RoundFile] = []
    placed: set[str] = set()
    for one in files:
        if one.sha256 not in placed:
            together = set_of(one, files)
            ordered += together
            placed |= {other.sha256 for other in together}
    return ordered


def set_of(one: RoundFile, files: Sequence[RoundFile]) -> list[RoundFile]:
    """The set that a file belongs to, in order, out of ``files``; a file that is no shard, alone.

    InputError for a set that is not there as a whole, naming what is missing.
    """
    known = {other.sha256: other for other in files}
    after = {other.shard.before: other for other in files if other.shard and other.shard.before}
    at, found = one, [one]
    while at.shard and at.shard.number > 1:
        at = _linked(at, known.get(at.shard.before), at.shard.number - 1, files)
        found.insert(0, at)
    at = one
    while at.shard and at.shard.number < at.shard.of:
        at = _linked(at, after.get(at.sha256), at.shard.number + 1, files)
        found.append(at)
    return found


def _linked(
    at: RoundFile, found: RoundFile | None, number: int, files: Sequence[RoundFile]
) -> RoundFile:
    """The shard beside ``at``, or what is wrong if it is not there."""
    assert at.shard is not None
    of = at.shard.of
    if found is not None and found.shard and (found.shard.number, found.shard.of) == (number, of):
        return found
    there = {one.shard.number: one for one in files if one.shard and one.shard.of == of}
    if number in there:
        raise InputError(
            f"{there[number].shown}: is shard {number} of {of}, but of another set, or of another "
            f"writing of it, than {at.shown}, {at.shard}; write the set again"
        )
    missing = [str(n) for n in range(1, of + 1) if n not in there]
    listed = ", ".join(missing[:8]) + (" ..." if len(missing) > 8 else "")
    raise InputError(
        f"{at.shown}: is {at.shard} of a round; missing {'is' if len(missing) == 1 else 'are'} "
        f"shard{'' if len(missing) == 1 else 's'} {listed}: name all files of the set"
    )


def merged_head(files: Sequence[RoundFile]) -> RoundHead:
    """The head of all files as one round; InputError where they do not belong together."""
    first = files[0]
    owner: dict[str, RoundFile] = {}
    for one in files:
        _check_alike(first, one)
        for client in one.head.clients:
            if client in owner:
                raise InputError(
                    f"{one.shown}: clients/id: '{printable(client, 40)}' is in "
                    f"{owner[client].shown}, too; a client counts once in a round"
                )
            owner[client] = one
    if len(files) == 1:
        return first.head
    return replace(
        first.head,
        clients=list(owner),
        num_examples=np.concatenate([one.head.num_examples for one in files]),
        dtypes={name: kind.newbyteorder("=") for name, kind in first.head.dtypes.items()},
    )


def _check_alike(first: RoundFile, other: RoundFile) -> None:
    def fault(field: str, theirs: Any, ours: Any) -> InputError:
        return InputError(
            f"{other.shown}: {printable(field)}: is {printable(str(theirs))}, in {first.shown} it "
            f"is {printable(str(ours))}; the files of a round must be of one model"
            + ("; each earlier round takes a --history" if field == "round_number" else "")
        )

    a, b = first.head, other.head
    for name in [*a.shapes, *b.shapes]:
        if (name in a.shapes) != (name in b.shapes):
            has, lacks = (first, other) if name in a.shapes else (other, first)
            raise InputError(
                f"{lacks.shown}: updates/{printable(name)}: is missing; {has.shown} has it, and "
                "the files of a round must be of one model"
            )
    for name, shape in a.shapes.items():
        if b.shapes[name] != shape:
            raise fault(f"updates/{name}", list(b.shapes[name]), list(shape))
        kinds = b.dtypes[name].newbyteorder("="), a.dtypes[name].newbyteorder("=")
        if kinds[0] != kinds[1]:
            raise fault(f"updates/{name}", *kinds)
    plain = ("round_number", "base_sha256", "architecture", "output")
    for field in plain:
        theirs, ours = getattr(b, field), getattr(a, field)
        if theirs != ours:
            raise fault(field, *(_said(field, value) for value in (theirs, ours)))
    for field, theirs, ours in (
        ("order of parameters", list(b.shapes), list(a.shapes)),
        ("labels", list(b.labels), list(a.labels)),
        ("buffers", sorted(b.buffers), sorted(a.buffers)),
    ):
        if theirs != ours:
            raise fault(field, theirs, ours)


def _said(field: str, value: Any) -> str:
    if field == "output":
        return f"{value.weight}, axis {value.label_axis}" if value else "none"
    if field == "base_sha256":
        return value[:12] or "not known"
    return str(value) if value != "" else "not known"


def check_digests(files: Sequence[RoundFile], found: Sequence[str]) -> None:
    """InputError unless the digests of all clients, in order, are those that the files store."""
    place = 0
    for one in files:
        for name, stored in zip(one.head.clients, one.digests, strict=True):
            if found[place] != stored:
                raise InputError(
                    f"{one.shown}: updates of client '{printable(name)}': do not match their "
                    "digest; the file is damaged"
                )
            place += 1


def set_sha256(files: Sequence[RoundFile]) -> str:
    """What identifies a round of these files, in order: of one file, its own digest."""
    if len(files) == 1:
        return files[0].sha256
    listed = "".join(f"{one.sha256}\n" for one in files)
    return hashlib.sha256(f"lomar/round set\n{listed}".encode()).hexdigest()
