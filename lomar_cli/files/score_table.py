"""A score table as all of its formats hold it: its columns, their types, what is always checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lomar_cli.errors import InputError
from lomar_cli.files import h5
from lomar_cli.files.round import check_clients
from lomar_cli.files.text import printable

FIXED = ("client", "num_examples", "suspicion", "keep", "reason")
# In this order; a table without a weight gives everybody a vote of its own.
WEIGHT = "weight"
# The kind of clients that each was judged among, where kinds were told.
GROUP = "group"
ORDER = ("client", "num_examples", "suspicion", "keep", WEIGHT, GROUP, "reason")
# Columns of any other name hold floats.
KINDS: dict[str, type] = {
    "client": str,
    "num_examples": int,
    "keep": bool,
    GROUP: str,
    "reason": str,
    "round_sha256": str,
}


@dataclass(frozen=True)
class Scores:
    """What a method says of every client of a round.

    ``columns`` has the five fixed columns first, ``weight`` among them where near-copies share a
    vote and ``group`` where kinds of clients were judged each by itself, then the method's own
    (floats; NaN where the method could not judge). ``keep`` is ``suspicion <= threshold`` unless
    the reason says more. ``notes`` are sentences for people: what was assumed, what could not be
    done.
    """

    method: str
    threshold: float
    round_sha256: str
    columns: Mapping[str, Sequence[Any]]
    options: dict[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    provenance: h5.Provenance = field(default_factory=list)
    sha256: str = ""

    @property
    def clients(self) -> list[str]:
        return list(self.columns["client"])

    @property
    def keep(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.asarray(self.columns["keep"], dtype=bool)

    @property
    def suspicion(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.asarray(self.columns["suspicion"], dtype=np.float64)

    @property
    def weight(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Each client's part of one vote (n,), in (0, 1]; 1 each where the table does not say."""
        if WEIGHT not in self.columns:
            return np.ones(len(self.columns["client"]))
        return np.asarray(self.columns[WEIGHT], dtype=np.float64)


def checked(scores: Scores, shown: str) -> Scores:
    """The same table, if every client is there once and every number is one that is allowed."""
    check_clients(scores.clients, f"{shown}: client")
    if not np.isfinite(scores.suspicion).all():
        raise InputError(f"{shown}: suspicion: must be a finite number for every client")
    # Not below or NaN: NaN is neither.
    if not ((scores.weight > 0) & (scores.weight <= 1)).all():
        raise InputError(
            f"{shown}: weight: must be above 0 and at most 1 for every client; score the round "
            "again, or leave the column out"
        )
    return scores


def value_of(name: str, value: Any, shown: str) -> Any:
    """One cell of a text format in its column's type; an empty number is NaN."""
    kind = KINDS.get(name, float)
    try:
        if kind is str:
            return "" if value is None else str(value)
        if kind is bool:
            if isinstance(value, bool):
                return value
            return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
        if value is None or value == "":
            return math.nan
        return kind(value)
    except (KeyError, ValueError, TypeError, OverflowError):
        raise InputError(
            f"{shown}: {printable(name)}: '{printable(str(value), 40)}' is not "
            f"{'true or false' if kind is bool else 'a number'}"
        ) from None
