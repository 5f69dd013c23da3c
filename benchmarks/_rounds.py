"""Trained rounds of a world, kept in a folder so that a changed method only judges anew.

Rounds go on by the average of the honest clients alone (all hold as many samples): the course of a
federation whose defense has worked so far. The honest are therefore trained once a round, whatever
the attack, and the attackers once for each way of poisoning their samples.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from _worlds import HONEST, SPARES, TEACHERS, World
from numpy.typing import NDArray

from lomar_cli.attacks.on_split import Poisoning
from lomar_cli.data import partition
from lomar_cli.data.stamped import with_stamped
from lomar_cli.files.atomic import atomic_path
from lomar_cli.files.split import Stamp
from lomar_cli.files.updates import Updates
from lomar_cli.learning import logistic
from lomar_cli.learning.registry import ClientData, Training

Arrays = Mapping[str, NDArray[np.float32]]
Ints = NDArray[np.int64]
TRAINING = Training(epochs=5, batch_size=20, lr=0.01)
OWN = "own"


@dataclass(frozen=True)
class Trained:
    """Updates of some clients: tensors (clients, ...), and how many samples each one poisoned."""

    tensors: Arrays
    poisoned: Ints


class Rounds:
    """The rounds of one world. ``folder`` is the cache, None for none.

    A part of a round is ``honest``, ``own`` (the spare clients as honest ones) or a way in which
    the spare clients poison their samples: ``pure 1:7``, ``mixed 4:9,5:3``, ``backdoor 7``. With
    "teacher " before it, it is of those who take no part.
    """

    def __init__(self, world: World, folder: Path | None, training: Training = TRAINING) -> None:
        self.world, self.training = world, training
        self.folder: Path | None = None
        if folder is not None:
            said = json.dumps(asdict(training), sort_keys=True)
            self.folder = folder / f"{world.name}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"
            self.folder.mkdir(parents=True, exist_ok=True)
        self._models: dict[int, Arrays] = {}
        self._parts: dict[tuple[int, str], Trained] = {}

    def part(self, number: int, name: str) -> Trained:
        """A part of round ``number`` (from 1), from the cache or trained now."""
        if (number, name) not in self._parts:
            # Only one round is held in memory at a time.
            self._parts = {key: part for key, part in self._parts.items() if key[0] == number}
            self._parts[number, name] = self.peek(number, name)
        return self._parts[number, name]

    def peek(self, number: int, name: str) -> Trained:
        """The same without holding on to it."""
        return self._kept(number, name) or self._train(number, name)

    def model(self, number: int) -> Arrays:
        """The model that round ``number`` starts from."""
        if number not in self._models:
            self._models[number] = self._step(number)
        return self._models[number]

    def root(self, number: int) -> tuple[Updates, Ints]:
        """The update that a defender trains on samples of its own, drawn evenly, and these."""
        world = self.world
        rng = world.rng("root")
        (samples,) = partition.draw("iid", world.dataset.y_train, 1, world.samples, rng)
        client = ClientData("root", samples, world.dataset.y_train[samples])
        training = replace(self.training, seed=1000 * world.seed + number)
        ((_, tensors),) = logistic.train(world.dataset, self.model(number), [client], training)
        counts = np.array([world.samples], np.int64)
        return Updates(["root"], counts, tensors, logistic.OUTPUT), samples

    def _step(self, number: int) -> Arrays:
        if number == 1:
            return logistic.initial(self.world.dataset)
        before = self.model(number - 1)
        updates = self.peek(number - 1, HONEST).tensors
        return {
            name: value + updates[name].mean(axis=0, dtype=np.float64).astype(np.float32)
            for name, value in before.items()
        }

    def _train(self, number: int, name: str) -> Trained:
        world, data = self.world, self.world.dataset
        kind, way = _kind(name)
        samples = world.owned(kind)
        labels = [data.y_train[own] for own in samples]
        poisoned = np.zeros(len(samples), np.int64)
        if way != OWN:
            done = world.poisoned(kind, *poison(way))
            samples = [one.samples for one in done.clients]
            labels = [data.y_train[own] for own in samples]
            for own, one in zip(labels, done.clients, strict=True):
                own[one.places] = one.label
            poisoned = np.array([len(one.places) for one in done.clients], np.int64)
            if done.pattern is not None:
                data, samples = with_stamped(data, samples, _stamp(done))
        clients = [
            ClientData(*each) for each in zip(world.named(kind), samples, labels, strict=True)
        ]
        training = replace(self.training, seed=1000 * world.seed + number)
        groups = [made for _, made in logistic.train(data, self.model(number), clients, training)]
        tensors = {key: np.concatenate([one[key] for one in groups]) for key in groups[0]}
        trained = Trained(tensors, poisoned)
        if kind != TEACHERS:
            self.keep(number, name, {"poisoned": poisoned, **tensors})
        return trained

    def _kept(self, number: int, name: str) -> Trained | None:
        arrays = self.kept(number, name)
        if arrays is None:
            return None
        return Trained({k: v for k, v in arrays.items() if k != "poisoned"}, arrays["poisoned"])

    def keep(self, number: int, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put arrays into the cache, if there is one."""
        if self.folder is not None:
            with (
                atomic_path(self._path(number, name), force=True) as path,
                path.open("wb") as stream,
            ):
                np.savez(stream, **arrays)

    def kept(self, number: int, name: str) -> dict[str, NDArray[Any]] | None:
        """Arrays from the cache, None where they are not there."""
        if self.folder is None or not self._path(number, name).exists():
            return None
        with np.load(self._path(number, name), allow_pickle=False) as found:
            return {key: found[key] for key in found.files}

    def _path(self, number: int, name: str) -> Path:
        assert self.folder is not None
        plain = name.replace(" ", "-").replace(":", "to").replace(",", "-")
        return self.folder / f"round{number:03d}-{plain}.npz"


def _kind(name: str) -> tuple[str, str]:
    """Which clients a part of a round is of, and how they get their samples."""
    if name == HONEST:
        return HONEST, OWN
    if name.startswith(TEACHERS):
        return TEACHERS, name.removeprefix(f"{TEACHERS} ")
    return SPARES, name


def poison(name: str) -> tuple[str, dict[str, object]]:
    """The attack on samples behind ``pure 1:7``, ``mixed 4:9,5:3`` or ``backdoor 7``."""
    kind, _, what = name.partition(" ")
    if kind == "backdoor":
        return "backdoor", {"target": what}
    if kind == "dba":
        return "backdoor", {"target": what, "parts": 4}
    return "label-flip", {"flip": what.split(","), "style": kind}


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
