"""Parts of a round: which clients of a world they are of, and what these train on.

``honest``, ``own`` (the spare clients as honest ones), ``without 4`` (the same with samples of
other labels in place of that one's), ``root`` (a defender with samples of its own), or a way in
which the spare clients poison their samples: ``pure 1:7``, ``mixed 4:9,5:3``, ``backdoor 7``,
``dba 7``. With "teacher " before it, it is of those who take no part.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from _pictures import amounts, pictured
from _worlds import HONEST, SPARES, TEACHERS, World
from numpy.typing import NDArray

from lomar_cli.attacks.on_split import Poisoning
from lomar_cli.data import partition
from lomar_cli.data.dataset import Dataset
from lomar_cli.data.stamped import with_stamped
from lomar_cli.files.split import Stamp
from lomar_cli.learning.registry import ClientData

Ints = NDArray[np.int64]
OWN, ROOT, WITHOUT = "own", "root", "without"


@dataclass(frozen=True)
class Part:
    """Clients, the data set that they train on, and how many samples each one has poisoned."""

    clients: Sequence[ClientData]
    dataset: Dataset
    poisoned: Ints


@functools.lru_cache(maxsize=8)
def part_of(world: World, name: str) -> Part:
    """The clients of a part; the same ones in every round."""
    found = _part(world, name)
    if not world.pictures or name == ROOT:
        return found
    rng = world.rng(f"{_kind(name)[0]} {world.pictures}")
    data, clients = pictured(found.dataset, found.clients, world.pictures, rng)
    return replace(found, dataset=data, clients=clients)


def looks(world: World) -> dict[str, str]:
    """How much each honest and spare client's pictures look different, by id, as text."""
    found: dict[str, str] = {}
    for kind in (HONEST, SPARES):
        ids = world.named(kind)
        drawn = amounts(world.pictures, len(ids), world.rng(f"{kind} {world.pictures}"))
        found.update(zip(ids, (f"{amount:g}" for amount in drawn), strict=True))
    return found


def _part(world: World, name: str) -> Part:
    data = world.dataset
    if name == ROOT:
        rng = world.rng("root")
        (samples,) = partition.draw("iid", data.y_train, 1, world.samples, rng)
        return _plain(["root"], [samples], data)
    kind, way = _kind(name)
    if way == OWN:
        return _plain(world.named(kind), world.owned(kind), data)
    if way.startswith(WITHOUT):
        label = int(way.removeprefix(f"{WITHOUT} "))
        return _plain(world.named(kind), without(world, kind, label), data)
    done = world.poisoned(kind, *poison(way))
    samples = [one.samples for one in done.clients]
    labels = [data.y_train[own] for own in samples]
    for own, one in zip(labels, done.clients, strict=True):
        own[one.places] = one.label
    if done.pattern is not None:
        data, samples = with_stamped(data, samples, _stamp(done))
    clients = [ClientData(*each) for each in zip(world.named(kind), samples, labels, strict=True)]
    return Part(clients, data, np.array([len(one.places) for one in done.clients], np.int64))


def _plain(names: Sequence[str], samples: Sequence[Ints], data: Dataset) -> Part:
    pairs = zip(names, samples, strict=True)
    clients = [ClientData(name, own, data.y_train[own]) for name, own in pairs]
    return Part(clients, data, np.zeros(len(clients), np.int64))


def without(world: World, kind: str, label: int) -> list[Ints]:
    """The samples of each client of a kind, those of ``label`` replaced by any others."""
    truth, rng = world.dataset.y_train, world.rng(f"{kind} without {label}")
    others = np.flatnonzero(truth != label)
    made = []
    for own in world.owned(kind):
        kept = own[truth[own] != label]
        fresh = np.setdiff1d(others, kept)
        made.append(np.concatenate([kept, rng.choice(fresh, len(own) - len(kept), replace=False)]))
    return made


def poison(way: str) -> tuple[str, dict[str, object]]:
    """The attack on samples, and its options, behind the name of a part."""
    kind, _, what = way.partition(" ")
    if kind == "backdoor":
        return "backdoor", {"target": what}
    if kind == "dba":
        return "backdoor", {"target": what, "parts": 4}
    return "label-flip", {"flip": what.split(","), "style": kind}


def _kind(name: str) -> tuple[str, str]:
    """Which clients a part is of, and how they get their samples."""
    if name == HONEST:
        return HONEST, OWN
    if name.startswith(TEACHERS):
        return TEACHERS, name.removeprefix(f"{TEACHERS} ")
    return SPARES, name


def _stamp(done: Poisoning) -> Stamp:
    """The pattern on the poisoned samples, counted through all clients' samples in order."""
    assert done.pattern is not None
    starts = np.cumsum([0, *(len(one.samples) for one in done.clients[:-1])])
    position = [start + one.places for start, one in zip(starts, done.clients, strict=True)]
    part = [np.full(len(one.places), one.part) for one in done.clients]
    pattern = done.pattern
    return Stamp(
        done.target,
        pattern.feature,
        pattern.value,
        pattern.piece,
        np.concatenate(position).astype(np.int64),
        np.concatenate(part).astype(np.int64),
    )
