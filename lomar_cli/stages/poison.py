"""Who attacks a round and what they send, in memory: what ``attack_round`` does between files.

Clients turned keep their ids, their num_examples and their place; clients added get ids that say
nothing, the num_examples of an honest client, and an honest update of their own to begin with:
the round's mean plus the deviations of two random honest clients, divided by the square root of
two, so that mean and covariance are those of the round and it is nobody's copy.

Attacks craft what clients are compared by. Buffers stay what they are: clients turned keep theirs,
clients added have those of an honest client, and no attack counts them as parameters.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.attacks.base import RoundAttack, one_of
from lomar_cli.attacks.budget import fresh_ids
from lomar_cli.attacks.context import Context, Earlier
from lomar_cli.errors import UsageError
from lomar_cli.files.updates import Updates
from lomar_cli.stages.defender import KnownDefender, flatten, unflatten
from lomar_cli.threads import one_blas_thread

Block = NDArray[np.float64]
Rows = NDArray[np.intp]
KNOWLEDGE = ("all", "own")


@dataclass(frozen=True)
class Knowledge:
    """What the attacker has beside the controlled clients.

    ``guilty`` are clients that an earlier attack made malicious: nobody's model of honest ones.
    """

    scope: str = "all"
    target: Block | None = None
    earlier: Earlier | None = None
    guilty: Collection[str] = ()


@dataclass(frozen=True)
class Poisoned:
    """The new round, its clients sorted by id, and the ids of those that the attack controls."""

    updates: Updates
    malicious: list[str]


def turn(
    updates: Updates,
    attack: RoundAttack,
    number: int | Collection[str],
    knowledge: Knowledge = Knowledge(),
    seed: int = 0,
    memory: int = 2**31,
) -> Poisoned:
    """Let ``number`` random clients of the round (or the named ones) send what the attack says."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    honest = _honest(updates, knowledge)
    if isinstance(number, int):
        if number > len(honest):
            raise UsageError(
                f"--convert: {number} clients cannot be turned, {len(honest)} can be "
                "(neither malicious already, nor sending NaN or infinity)"
            )
        chosen = np.sort(honest[rng.permutation(len(honest))[:number]])
    else:
        names = set(number)
        chosen = np.array([i for i, c in enumerate(updates.clients) if c in names], np.intp)
    known = np.setdiff1d(honest, chosen)
    scored = updates.scored()
    own = flatten(scored, chosen)
    ids = [updates.clients[int(row)] for row in chosen]
    crafted = _craft(
        scored,
        attack,
        known,
        own,
        ids,
        updates.num_examples[chosen],
        knowledge,
        rng,
        len(updates.clients),
        memory,
    )
    tensors = {name: np.array(tensor[:]) for name, tensor in updates.tensors.items()}
    for name, part in unflatten(crafted, scored).items():
        with np.errstate(over="ignore"):
            tensors[name][chosen] = part.astype(tensors[name].dtype)
    return _sorted(replace(updates, tensors=tensors, magnitudes=None), ids)


def add(
    updates: Updates,
    attack: RoundAttack,
    number: int,
    knowledge: Knowledge = Knowledge(),
    seed: int = 0,
    memory: int = 2**31,
    ids_seed: int | None = None,
) -> Poisoned:
    """Add ``number`` malicious clients to the round; their ids are drawn from ``ids_seed``."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    honest = _honest(updates, knowledge)
    if number and not len(honest):
        raise UsageError("--malicious: the round has no honest client to be like")
    source = rng if ids_seed is None else np.random.default_rng(np.random.SeedSequence(ids_seed))
    ids = fresh_ids(number, updates.clients, source)
    scored = updates.scored()
    own, models = _alike(flatten(scored, honest), number, rng)
    like = honest[models] if number else np.zeros(0, np.intp)
    counts = updates.num_examples[like]
    crafted = _craft(
        scored,
        attack,
        honest,
        own,
        ids,
        counts,
        knowledge,
        rng,
        len(updates.clients) + number,
        memory,
    )
    tensors: dict[str, Any] = {}
    parts = unflatten(crafted, scored)
    for name, tensor in updates.tensors.items():
        array = np.asarray(tensor[:])
        part = parts[name] if name in parts else array[like]
        with np.errstate(over="ignore"):
            tensors[name] = np.concatenate([array, part.astype(array.dtype)])
    counts = np.concatenate([updates.num_examples, counts])
    clients = [*updates.clients, *ids]
    more = replace(updates, clients=clients, num_examples=counts, tensors=tensors, magnitudes=None)
    return _sorted(more, ids)


def _craft(
    updates: Updates,
    attack: RoundAttack,
    known: Rows,
    own: Block,
    own_ids: list[str],
    own_counts: NDArray[np.int64],
    knowledge: Knowledge,
    rng: np.random.Generator,
    clients: int,
    memory: int,
) -> Block:
    one_of("--knowledge", knowledge.scope, KNOWLEDGE)
    if not len(own):
        return own
    if not np.isfinite(own).all():
        raise UsageError("a controlled client's own update holds NaN or infinity; turn others")
    omniscient = knowledge.scope == "all" or not attack.knows
    if omniscient and attack.knows and not len(known):
        raise UsageError("no honest client is left that the attacker could know; turn fewer")
    weights = own_counts.astype(np.float64)
    context = Context(
        known=flatten(updates, known) if omniscient else own,
        own=own,
        clients=clients,
        rng=rng,
        omniscient=omniscient,
        known_ids=[updates.clients[int(row)] for row in known] if omniscient else own_ids,
        own_ids=own_ids,
        known_weights=updates.num_examples[known].astype(np.float64) if omniscient else weights,
        own_weights=weights,
        others=flatten(updates, _guilty(updates, knowledge, own_ids)) if omniscient else None,
        target=knowledge.target,
        earlier=knowledge.earlier,
        defender=KnownDefender(updates, memory),
        bias=_bias(updates),
        labels=updates.labels,
    )
    # On one thread: the same bytes on every machine's number of cores.
    with np.errstate(over="ignore", invalid="ignore"), one_blas_thread():
        return attack.crafted(context)


def _bias(updates: Updates) -> slice | None:
    """Where the output layer's bias lies in a flat update."""
    name = updates.output.bias if updates.output is not None else None
    start = 0
    for key, tensor in updates.tensors.items():
        size = math.prod(tensor.shape[1:])
        if key == name:
            return slice(start, start + size)
        start += size
    return None


def _guilty(updates: Updates, knowledge: Knowledge, own_ids: list[str]) -> Rows:
    """Clients of another attack, as far as their updates are finite."""
    guilty = set(knowledge.guilty) - set(own_ids)
    rows = np.array([i for i, c in enumerate(updates.clients) if c in guilty], np.intp)
    return rows[_finite(updates)[rows]]


def _honest(updates: Updates, knowledge: Knowledge) -> Rows:
    """Clients that nobody has turned so far and whose updates are finite."""
    guilty = set(knowledge.guilty)
    innocent = np.array([client not in guilty for client in updates.clients])
    return np.flatnonzero(_finite(updates) & innocent)


def _finite(updates: Updates) -> NDArray[np.bool_]:
    finite = np.ones(len(updates.clients), dtype=bool)
    for tensor in updates.tensors.values():
        array = np.asarray(tensor[:])
        finite &= np.isfinite(array.reshape(len(array), -1)).all(axis=1)
    return finite


def _alike(honest: Block, number: int, rng: np.random.Generator) -> tuple[Block, Rows]:
    """``number`` updates like the honest ones, and of each one client that it is made from."""
    pairs = np.array(
        [rng.permutation(len(honest))[:2][[0, -1]] for _ in range(number)], np.intp
    ).reshape(number, 2)
    mean = honest.mean(axis=0)
    first, second = honest[pairs[:, 0]], honest[pairs[:, 1]]
    return mean + ((first - mean) + (second - mean)) / np.sqrt(2), pairs[:, 0]


def _sorted(updates: Updates, ids: list[str]) -> Poisoned:
    order = sorted(range(len(updates.clients)), key=lambda row: updates.clients[row])
    return Poisoned(updates.rows(np.array(order, np.intp)), sorted(ids))
