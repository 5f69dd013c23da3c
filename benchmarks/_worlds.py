"""Federations for the benchmarks: who holds which samples, drawn from a seed.

A world is a data set, a partition scheme and a seed. It has honest clients, and spare ones drawn in
the same way, of which an attacker holds the first so many. Everything is drawn from the world's own
seed, so that all attacks, shares of attackers and methods meet the same clients.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lomar_cli.attacks.budget import fresh_ids
from lomar_cli.attacks.on_split import Holdings, Poisoning
from lomar_cli.attacks.registry import make_split_attack
from lomar_cli.data import partition, registry
from lomar_cli.data.dataset import Dataset

Ints = NDArray[np.int64]
# Spare clients for each honest one: the largest share of attackers.
SPARE = 0.4


@dataclass(frozen=True)
class Size:
    """How many honest clients a data set is shared among, of how many samples; its label flips.

    ``flips[0]`` is the usual one; all together are the attack of several pairs at once.
    """

    clients: int
    samples: int
    flips: tuple[str, ...]


# Digits holds 1,400 samples, too few for 180 of one label. The flips of kddcup99 and amazon are the
# paper's; those of mnist and digits one between unlike classes and two between like ones.
SIZES = {
    "digits": Size(100, 100, ("1:7", "4:9", "5:3")),
    "mnist": Size(100, 200, ("1:7", "4:9", "5:3")),
    "kddcup99": Size(115, 200, ("11:9", "18:11")),
    "amazon": Size(100, 150, ("15:10", "3:4")),
    "images": Size(100, 200, ("3:5", "9:1")),
}


@dataclass(frozen=True)
class World:
    """``scheme`` is a lambda ("0.5", the paper's partition) or "dirichlet0.1"."""

    data: str
    scheme: str
    seed: int
    clients: int
    samples: int
    data_dir: Path | None = None

    @property
    def name(self) -> str:
        return f"{self.data}-{self.scheme}-{self.clients}x{self.samples}-{self.seed}"

    @cached_property
    def dataset(self) -> Dataset:
        return registry.load(self.data, self.data_dir)

    @property
    def spares(self) -> int:
        return round(SPARE * self.clients)

    def attackers(self, tau: float) -> int:
        """The number of attackers: a share of the honest clients, who stay as many as they are."""
        return round(tau * self.clients)

    def rng(self, what: str) -> np.random.Generator:
        """A stream of its own for every purpose."""
        return np.random.default_rng([self.seed, zlib.crc32(f"{self.data} {what}".encode())])

    @cached_property
    def ids(self) -> list[str]:
        """Ids of honest and then spare clients, which say nothing."""
        return fresh_ids(self.clients + self.spares, (), self.rng("ids"))

    def owned(self, spare: bool) -> list[Ints]:
        """The samples of each honest client, or of each spare one."""
        count = self.spares if spare else self.clients
        rng = self.rng(f"{self.scheme} {'spare' if spare else 'honest'}")
        name, options = self._scheme
        return partition.draw(name, self.dataset.y_train, count, self.samples, rng, **options)

    def poisoned(self, attack: str, options: dict[str, object]) -> Poisoning:
        """What the spare clients hold when all of them attack their own samples."""
        data = self.dataset
        held = Holdings(
            self.data,
            data.y_train,
            data.labels,
            data.shape,
            self.owned(spare=True),
            self.rng(f"{self.scheme} {attack} {sorted(options.items())}"),
            registry.entry(self.data).rare == "repeat",
        )
        return make_split_attack(attack, options)(held)

    @property
    def _scheme(self) -> tuple[str, dict[str, object]]:
        if self.scheme.startswith("dirichlet"):
            return "dirichlet", {"alpha": float(self.scheme.removeprefix("dirichlet"))}
        rare = registry.entry(self.data).rare
        return "paper", {"imbalance": float(self.scheme), "rare": rare}
