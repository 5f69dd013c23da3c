"""The kinds that a round's clients are of, as ``--client-groups`` tells them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lomar_cli.errors import UsageError
from lomar_cli.files.groups import parse_groups
from lomar_cli.files.sidecar import sidecar_text
from lomar_cli.files.text import name_fault, printable


@dataclass(frozen=True)
class Kinds:
    """What a file of groups says, the ``sha256`` of its text, and how it is ``shown``."""

    by_client: Mapping[str, str]
    sha256: str
    shown: str

    def of(self, clients: Sequence[str], inputs: dict[str, str]) -> list[str | None]:
        """Each client's group (n,), None for those of none; notes in ``inputs`` what was read."""
        inputs["groups"] = self.sha256
        return told(clients, self.by_client, self.shown)


def read_kinds(path: Path | None, options: Mapping[str, Any]) -> Kinds | None:
    """What ``--client-groups`` names, before a round is read; None without it.

    UsageError for options of a method that say of a whole round what each kind has its own of.
    """
    if path is None:
        return None
    count = options.get("assume_malicious")
    if count is not None and not str(count).strip().endswith("%"):
        raise UsageError(
            f"--assume-malicious {printable(str(count), 40)}: each of --client-groups has its own "
            "number; give a share, such as 10%"
        )
    text = sidecar_text(path)
    shown = printable(str(path))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Kinds(parse_groups(text, shown), digest, f"--client-groups {shown}")


def kinds_of(
    known: Kinds | None, clients: Sequence[str], inputs: dict[str, str]
) -> list[str | None] | None:
    """What :meth:`Kinds.of` says, None where nothing was told."""
    return None if known is None else known.of(clients, inputs)


def told(clients: Sequence[str], given: Mapping[str, str], shown: str) -> list[str | None]:
    """The groups of these clients, of whom one at least must be told of; an empty one is none."""
    if not isinstance(given, Mapping):
        raise UsageError(f"{shown}: must name a group for each client, as a mapping")
    groups = [given.get(client) or None for client in clients]
    for group in groups:
        fault = "it is no text" if not isinstance(group, str | None) else None
        if isinstance(group, str):
            fault = name_fault(group)
        if fault is not None:
            raise UsageError(f"{shown}: {printable(repr(group), 60)} is no name: {fault}")
    if not any(group is not None for group in groups):
        raise UsageError(
            f"{shown}: tells the group of none of the round's clients, who are named like "
            f"'{printable(clients[0], 60)}'"
        )
    return groups
