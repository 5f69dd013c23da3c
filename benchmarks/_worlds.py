"""Federations for the benchmarks: who holds which samples, drawn from a seed.

A world is a data set, a partition scheme and a seed. It has honest clients, and spare ones drawn in
the same way, of which an attacker holds the first so many; further ones, which take no part, show
how well attackers could be told apart. Everything is drawn from the world's own seed, so that all
attacks, shares of attackers and methods meet the same clients.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.attacks.budget import fresh_ids
from lomar_cli.attacks.on_split import Holdings, Poisoning
from lomar_cli.attacks.registry import make_split_attack
from lomar_cli.data import partition, registry
from lomar_cli.data.dataset import Dataset
from lomar_cli.learning.registry import ModelModule
from lomar_cli.learning.registry import model as learned

Ints = NDArray[np.int64]
# Spare clients for each honest one: the most attackers there can be, if no more are asked for.
SPARE = 0.4
HONEST, SPARES, TEACHERS = "honest", "spare", "teacher"
ON = "+"
LEAST = 8
# Numbers in the updates of all teachers together, which have to fit into memory.
TEACHING, MOST_TEACHERS = 4 * 10**7, 400


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


def size(data: str) -> Size:
    """The size for a data set, whatever is trained on it."""
    return SIZES[data.partition(ON)[0]]


@dataclass(frozen=True)
class World:
    """``scheme`` is a lambda ("0.5", the paper's partition) or "dirichlet0.1".

    ``data`` names a data set, and after a ``+`` the model that is trained on it ("digits+cnn"),
    softmax regression where it names none. The clients are the same ones whatever the model.
    ``spare`` clients there are for each honest one. With a ``spread``, clients have fewer samples:
    a third of ``samples`` times a log-normal number of this deviation, from 8 to all of them. What
    their ``pictures`` look like: see ``_pictures``.
    """

    data: str
    scheme: str
    seed: int
    clients: int
    samples: int
    data_dir: Path | None = None
    spare: float = SPARE
    spread: float = 0.0
    pictures: str = ""

    @property
    def name(self) -> str:
        more = "" if self.spare == SPARE else f"-spare{self.spare:g}"
        more += f"-spread{self.spread:g}" if self.spread else ""
        more += f"-{self.pictures}" if self.pictures else ""
        return f"{self.data}-{self.scheme}-{self.clients}x{self.samples}-{self.seed}{more}"

    @cached_property
    def dataset(self) -> Dataset:
        return registry.load(self.source, self.data_dir)

    @property
    def source(self) -> str:
        """The data set's name."""
        return self.data.partition(ON)[0]

    @property
    def architecture(self) -> str:
        return self.data.partition(ON)[2] or "logistic"

    @property
    def model(self) -> ModelModule:
        return learned(self.architecture, "--data")

    def initial(self) -> dict[str, NDArray[Any]]:
        """The model that the federation starts from."""
        return self.model.initial(self.dataset, self.seed)

    def count(self, kind: str) -> int:
        """How many clients of a kind there are: honest, spare or teacher."""
        if kind == TEACHERS:
            parameters = sum(value.size for value in self.initial().values())
            return min(MOST_TEACHERS, TEACHING // parameters)
        return self.clients if kind == HONEST else round(self.spare * self.clients)

    def attackers(self, tau: float) -> int:
        """The number of attackers: a share of the honest clients, who stay as many as they are."""
        return round(tau * self.clients)

    def rng(self, what: str) -> np.random.Generator:
        """A stream of its own for every purpose."""
        return np.random.default_rng([self.seed, zlib.crc32(f"{self.source} {what}".encode())])

    @cached_property
    def ids(self) -> list[str]:
        """Ids of honest and then spare clients, which say nothing."""
        return fresh_ids(self.count(HONEST) + self.count(SPARES), (), self.rng("ids"))

    def named(self, kind: str) -> list[str]:
        """The ids of the clients of a kind."""
        if kind == TEACHERS:
            return [f"t{row}" for row in range(self.count(kind))]
        return self.ids[: self.clients] if kind == HONEST else self.ids[self.clients :]

    def owned(self, kind: str) -> list[Ints]:
        """The samples of each client of a kind."""
        rng = self.rng(f"{self.scheme} {kind}")
        name, options = self._scheme
        labels, count = self.dataset.y_train, self.count(kind)
        drawn = partition.draw(name, labels, count, self.samples, rng, **options)
        if not self.spread:
            return drawn
        many = self.samples / 3 * np.exp(self.spread * self.rng(f"{kind} sizes").normal(size=count))
        sizes = np.clip(many.astype(int), LEAST, self.samples)
        return [rng.permutation(own)[:size] for own, size in zip(drawn, sizes, strict=True)]

    def poisoned(self, kind: str, attack: str, options: dict[str, object]) -> Poisoning:
        """What the clients of a kind hold when all of them attack their own samples."""
        data = self.dataset
        held = Holdings(
            self.source,
            data.y_train,
            data.labels,
            data.shape,
            self.owned(kind),
            self.rng(f"{self.scheme} {kind} {attack} {sorted(options.items())}"),
            registry.entry(self.source).rare == "repeat",
        )
        return make_split_attack(attack, options)(held)

    @property
    def _scheme(self) -> tuple[str, dict[str, object]]:
        if self.scheme.startswith("dirichlet"):
            return "dirichlet", {"alpha": float(self.scheme.removeprefix("dirichlet"))}
        rare = registry.entry(self.source).rare
        return "paper", {"imbalance": float(self.scheme), "rare": rare}
