"""Partition schemes by name. A new one is one file and one line here.

A scheme draws each client's samples from the training part's labels. Clients are drawn one by one
and independently, so that an attack can add further clients to a split the same way. Samples are
never repeated within a client, but for ``--rare repeat``; between clients they may be. A scheme
by groups (``natural``) draws nothing: its clients are the groups that a person's own data name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import UsageError, nearest

Ints = NDArray[np.int64]
Draw = Callable[..., list[Ints]]


@dataclass(frozen=True)
class SchemeEntry:
    """``options`` are the keyword options that the scheme's ``draw`` takes, with defaults.

    ``grouped``: it divides by the data set's own groups, and cannot draw further clients.
    """

    module: str
    about: str
    options: dict[str, Any]
    grouped: bool = False


SCHEMES = {
    "paper": SchemeEntry(
        "paper",
        "one major label makes up a share lambda (sec. 4.1.1)",
        {"imbalance": 0.0, "rare": "refuse"},
    ),
    "iid": SchemeEntry("iid", "every client draws evenly from all samples", {}),
    "dirichlet": SchemeEntry(
        "dirichlet", "label shares from a Dirichlet distribution", {"alpha": 0.5}
    ),
    "shards": SchemeEntry(
        "shards", "a few stretches of the samples sorted by label", {"shards": 2}
    ),
    "natural": SchemeEntry(
        "natural", "a client a group, where one's own data name groups", {}, grouped=True
    ),
}


def scheme_entry(name: str) -> SchemeEntry:
    """The scheme ``name``; UsageError with the nearest name when there is none."""
    if name not in SCHEMES:
        known = list(SCHEMES)
        raise UsageError(
            f"--scheme: there is no scheme '{name}'{nearest(name, known)} "
            f"(known: {', '.join(known)})"
        )
    return SCHEMES[name]


def draw(
    scheme: str,
    labels: Ints,
    clients: int,
    samples: int,
    rng: np.random.Generator,
    **options: Any,
) -> list[Ints]:
    """Return ``clients`` index arrays of ``samples`` entries each into ``labels``."""
    entry = scheme_entry(scheme)
    if samples > len(labels):
        raise UsageError(
            f"--samples-per-client {samples}: the training part holds only {len(labels)} samples"
        )
    return _function(entry)(labels, clients, samples, rng, **options)


def by_group(
    scheme: str,
    labels: Ints,
    groups: Ints,
    clients: int | None,
    samples: int | None,
    rng: np.random.Generator,
) -> list[Ints]:
    """Return an index array a group; ``clients`` and ``samples`` hold their numbers down."""
    return _function(scheme_entry(scheme))(labels, clients, samples, rng, groups=groups)


def _function(entry: SchemeEntry) -> Draw:
    module = importlib.import_module(f"lomar_cli.data.partition.{entry.module}")
    function: Draw = module.draw
    return function
