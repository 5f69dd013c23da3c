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
from _parts import ROOT, part_of
from _worlds import HONEST, TEACHERS, World
from numpy.typing import NDArray

from lomar_cli.files.atomic import atomic_path
from lomar_cli.files.updates import Updates
from lomar_cli.learning.registry import Training

Arrays = Mapping[str, NDArray[np.float32]]
Ints = NDArray[np.int64]
TRAINING = Training(epochs=5, batch_size=20, lr=0.01)


@dataclass(frozen=True)
class Trained:
    """Updates of some clients: tensors (clients, ...), and how many samples each one poisoned."""

    tensors: Arrays
    poisoned: Ints


class Rounds:
    """The rounds of one world. ``folder`` is the cache, None for none.

    What a part of a round is called: see ``_parts``.
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
        """The update that a defender trains on samples of its own, and these."""
        world = self.world
        tensors = train(world, ROOT, self.model(number), self.training, number).tensors
        counts = np.array([world.samples], np.int64)
        samples = part_of(world, ROOT).clients[0].samples
        return Updates(["root"], counts, tensors, world.model.OUTPUT), samples

    def _step(self, number: int) -> Arrays:
        if number == 1:
            return self.world.initial()
        before = self.model(number - 1)
        updates = self.peek(number - 1, HONEST).tensors
        return {
            name: value + updates[name].mean(axis=0, dtype=np.float64).astype(np.float32)
            for name, value in before.items()
        }

    def _train(self, number: int, name: str) -> Trained:
        trained = train(self.world, name, self.model(number), self.training, number)
        if not name.startswith(TEACHERS):
            self.keep(number, name, {"poisoned": trained.poisoned, **trained.tensors})
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


def train(world: World, name: str, model: Arrays, training: Training, number: int) -> Trained:
    """What the clients of a part of round ``number`` make of ``model``."""
    found = part_of(world, name)
    seeded = replace(training, seed=1000 * world.seed + number)
    done = world.model.train(found.dataset, model, found.clients, seeded, lambda count: None)
    groups = [made for _, made in done]
    tensors = {key: np.concatenate([one[key] for one in groups]) for key in groups[0]}
    return Trained(tensors, found.poisoned)
