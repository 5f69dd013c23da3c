"""What the attacker of a round knows. Blocks are flat: (clients, parameters) in float64.

An attack holds the whole round in memory; the stage checks beforehand that it fits ``--memory``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import UsageError

Block = NDArray[np.float64]
Vector = NDArray[np.float64]


class Defender(Protocol):
    """The defender's own code, which an attacker who knows the defense can try things on."""

    def aggregate(
        self, rule: str, honest: Block, malicious: Block, weights: Vector, tolerated: int
    ) -> Vector:
        """What ``rule`` makes of honest and then malicious updates; ``weights`` are for both."""

    def log_factors(self, honest: Block, malicious: Block) -> Vector:
        """LoMar's log F of honest and then malicious clients."""


@dataclass(frozen=True)
class Earlier:
    """An earlier round: client ids, updates (clients, d) and num_examples."""

    clients: Sequence[str]
    updates: Block
    weights: Vector

    @cached_property
    def average(self) -> Vector:
        """Its updates averaged by num_examples: the step of the global model."""
        total = self.weights.sum()
        weights = self.weights / total if total > 0 else np.full_like(self.weights, 1 / len(self))
        found: Vector = weights @ self.updates
        return found

    def __len__(self) -> int:
        return len(self.clients)


@dataclass(frozen=True)
class Context:
    """One round as its attacker sees it.

    ``own`` (m, d) are the controlled clients' own updates before any manipulation, ``known``
    (k, d) the honest updates that the attacker can look at: with ``omniscient`` those of all honest
    clients (the controlled ones are not among them), otherwise just ``own``. ``clients`` is the
    number of clients in the attacked round; ``others`` are updates in it of clients that another
    attack made malicious. ``target`` is a direction given from outside,
    ``earlier`` a round to replay. ``bias`` is where the output layer's bias lies in an update, None
    where it has none, and ``labels`` are the names of its labels, which may not be known.
    """

    known: Block
    own: Block
    clients: int
    rng: np.random.Generator
    omniscient: bool = True
    known_ids: Sequence[str] = ()
    own_ids: Sequence[str] = ()
    known_weights: Vector | None = None
    own_weights: Vector | None = None
    others: Block | None = None
    target: Vector | None = None
    earlier: Earlier | None = None
    defender: Defender | None = None
    bias: slice | None = None
    labels: Sequence[str] = ()

    @property
    def malicious(self) -> int:
        return len(self.own)

    @property
    def directions(self) -> Block:
        """Where each controlled client wants to go (m, d): the target, or its own update."""
        if self.target is None:
            return self.own
        return np.repeat(self.target[None], self.malicious, axis=0)

    @cached_property
    def before(self) -> Block:
        """Every update before manipulation that the attacker knows."""
        return np.concatenate([self.known, self.own]) if self.omniscient else self.own

    @cached_property
    def mean(self) -> Vector:
        """Of the known honest updates."""
        self.need(1)
        found: Vector = self.known.mean(axis=0)
        return found

    @cached_property
    def deviation(self) -> Vector:
        """Standard deviation of the known honest updates, by coordinate (divided by k - 1)."""
        self.need(2)
        found: Vector = self.known.std(axis=0, ddof=1)
        return found

    @cached_property
    def squares(self) -> Block:
        """Squared distances (k, k) between the known honest updates."""
        self.need(1)
        return squared_distances(self.known)

    @cached_property
    def radii(self) -> Vector:
        """Distances (k,) of the known honest updates from their mean."""
        found: Vector = np.linalg.norm(self.known - self.mean, axis=1)
        return found

    @cached_property
    def beside(self) -> int:
        """How many malicious clients to reckon with beside the known honest ones.

        All of them when all honest updates are known; otherwise as many as keeps their share.
        """
        if self.omniscient:
            return self.malicious
        honest = max(1, self.clients - self.malicious)
        return max(1, round(len(self.known) * self.malicious / honest))

    @property
    def weights(self) -> tuple[Vector, Vector]:
        """num_examples of the known honest and of the controlled clients; 1 each when not given."""
        known, own = self.known_weights, self.own_weights
        return (
            np.ones(len(self.known)) if known is None else known,
            np.ones(len(self.own)) if own is None else own,
        )

    def damage(self, rule: str, vector: Vector) -> float:
        """How far ``rule`` is drawn from the mean of the honest when all attackers send this."""
        if self.defender is None:
            raise UsageError("--against: there is no defender to try this on")
        honest, own = self.weights
        weights = np.concatenate([honest, np.full(self.beside, own.mean())])
        block = np.repeat(vector[None], self.beside, axis=0)
        got = self.defender.aggregate(rule, self.known, block, weights, self.beside)
        return float(np.linalg.norm(got - self.mean))

    @property
    def output_bias(self) -> slice:
        """Where the output layer's bias lies; UsageError where there is none."""
        if self.bias is None:
            raise UsageError(
                "this attack works on the bias of the output layer, and the round names none "
                "('lomar info' says what it holds; 'lomar dump --output-layer' names the layer)"
            )
        return self.bias

    def need(self, least: int) -> None:
        """UsageError when the attacker knows fewer honest updates than ``least``."""
        if len(self.known) < least:
            raise UsageError(
                f"the attacker knows {len(self.known)} honest updates and needs {least}: turn "
                "fewer clients with --knowledge all, or more with --knowledge own"
            )


def squared_distances(block: Block) -> Block:
    """Squared Euclidean distances (k, k) by centred inner products."""
    centred = block - block.mean(axis=0)
    gram = centred @ centred.T
    lengths = gram.diagonal()
    squares: Block = np.maximum(lengths[:, None] + lengths - 2 * gram, 0)
    np.fill_diagonal(squares, 0)
    return squares
