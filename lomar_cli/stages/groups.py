"""The kinds that a round's clients are of, as ``--groups`` tells them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from lomar_cli.errors import UsageError
from lomar_cli.files.groups import read_groups
from lomar_cli.files.round import Round
from lomar_cli.files.text import printable


def groups_of(found: Round, path: Path | None, inputs: dict[str, str]) -> list[str | None] | None:
    """Each client's group (n,), None for those of none; None without a file.

    The digest of what was read is noted in ``inputs``.
    """
    if path is None:
        return None
    groups = told(found.head.clients, read_groups(path), f"--groups {printable(str(path))}")
    inputs["groups"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return groups


def told(clients: Sequence[str], given: Mapping[str, str], shown: str) -> list[str | None]:
    """The groups of these clients, of whom one at least must be told of."""
    groups = [given.get(client) for client in clients]
    if not any(group is not None for group in groups):
        raise UsageError(
            f"{shown}: tells the group of none of the round's clients, who are named like "
            f"'{printable(clients[0], 60)}'"
        )
    return groups
