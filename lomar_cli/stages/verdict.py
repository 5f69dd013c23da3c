"""A score table beside the round it must belong to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import InputError
from lomar_cli.files.round import Round
from lomar_cli.files.scores import Scores
from lomar_cli.files.text import printable


def rows_of(found: Round, scores: Scores, path: Path) -> NDArray[np.intp]:
    """The table's rows (n,) in the order of the round's clients.

    Raises InputError when the scores were made from another round, by its SHA-256.
    """
    shown = printable(str(path))
    if not scores.round_sha256:
        raise InputError(
            f"{shown}: round_sha256: is missing, so these scores cannot be tied to the round; "
            "use the table as `lomar score -o` writes it"
        )
    if scores.round_sha256 != found.sha256:
        raise InputError(
            f"{shown}: round_sha256: the scores belong to another round "
            f"({printable(scores.round_sha256[:12])}, this one is {found.sha256[:12]}); "
            "score this round first"
        )
    place = {client: row for row, client in enumerate(scores.clients)}
    if set(place) != set(found.head.clients):
        raise InputError(f"{shown}: client: the clients are not those of the round")
    return np.array([place[client] for client in found.head.clients], dtype=np.intp)
