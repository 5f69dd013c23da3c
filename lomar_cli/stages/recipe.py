"""A rule with its pre-aggregations: made from names and options, applied to a round."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lomar_cli.aggregation.base import Aggregate, Rule, Vector, checked
from lomar_cli.aggregation.pre import PRES, PreAggregation
from lomar_cli.aggregation.registry import RULES
from lomar_cli.errors import LomarError, UsageError, nearest
from lomar_cli.files.text import printable
from lomar_cli.files.updates import Updates
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.options import assumed

_ASSUMES = "assume_malicious"


@dataclass(frozen=True)
class Recipe:
    """``pre`` are applied in order, then ``rule``; ``told`` is --assume-malicious or None."""

    name: str
    rule: Rule
    pre: Sequence[tuple[str, PreAggregation]]
    told: str | None

    @classmethod
    def make(
        cls, name: str, pre: Sequence[str], options: Mapping[str, Any], told: str | None
    ) -> Recipe:
        """``options`` are the rule's own, and as ``PRE.NAME`` those of a pre-aggregation.

        Unlike these, ``told`` is for whoever can use it.
        """
        own = {key: value for key, value in options.items() if "." not in key}
        if own.get(_ASSUMES) is not None:
            if told is not None:
                raise UsageError("--set assume_malicious: is the same as --assume-malicious")
            told = str(own[_ASSUMES])
        for key in options.keys() - own.keys():
            part = key.partition(".")[0]
            if part not in pre:
                raise UsageError(
                    f"--set {printable(key)}: there is no '--pre {printable(part)}'"
                    f"{nearest(part, list(pre))}"
                )
        made = RULES.make(name, own)
        steps = []
        for step in pre:
            head = f"{step}."
            given = {k.removeprefix(head): v for k, v in options.items() if k.startswith(head)}
            steps.append((step, PRES.make(step, given)))
        return cls(name, made, steps, told)

    @property
    def assumes(self) -> bool:
        """True when the rule or a pre-aggregation reckons with a number of malicious clients."""
        return any(_takes(one) for one in (self.rule, *(step for _, step in self.pre)))

    def malicious(self, clients: int) -> int | None:
        """The number it reckons with among so many clients; None when it does not matter."""
        return assumed(self.told, clients) if self.assumes else None

    def described(self, clients: int) -> dict[str, Any]:
        """What a provenance says of it: a run that was told a number differs from a blind one."""
        found: dict[str, Any] = {"rule": self.name}
        found.update(_options(self.rule))
        if self.pre:
            found["pre"] = [name for name, _ in self.pre]
        for name, step in self.pre:
            found.update({f"{name}.{key}": value for key, value in _options(step).items()})
        if self.assumes:
            found[_ASSUMES] = self.malicious(clients)
            found["assume_malicious_given"] = self.told is not None
        return found

    def __call__(self, view: RoundView, weights: Vector) -> Aggregate:
        """Apply it to a round; ``used`` are the clients of the round itself."""
        count = len(weights)
        told = self.malicious(count)
        view = checked(view)
        notes = []
        if told is not None:
            how = "as told" if self.told is not None else "a fifth, as nothing was told"
            notes.append(f"{told} of {count} clients are assumed malicious ({how})")
        elif self.told is not None:
            notes.append("--assume-malicious is not used: nothing here reckons with a number")
        matrix = np.eye(count) if self.pre else None
        mixed = view
        for name, step in self.pre:
            mix = _told(step, told)(mixed, weights)
            notes += mix.notes
            matrix, weights = mix.matrix @ matrix, mix.weights
            mixed = _view(view, _mix(view.updates, matrix, name))
        try:
            done = _told(self.rule, told)(mixed, weights)
        except UsageError as error:
            if len(weights) == count:
                raise
            # The rule counts what it sees, which are not the clients any more.
            steps = ",".join(name for name, _ in self.pre)
            raise UsageError(f"{error} after --pre {steps}") from None
        _check(done, mixed.updates, self.name)
        used = done.used if matrix is None else (matrix[done.used] != 0).any(axis=0)
        return Aggregate(done.update, used, (*notes, *done.notes))


def _check(done: Aggregate, updates: Updates, name: str) -> None:
    """LomarError for what is no update of this model, as of a rule from elsewhere."""
    shapes = {key: tuple(tensor.shape[1:]) for key, tensor in updates.tensors.items()}
    found = {key: np.shape(value) for key, value in done.update.items()}
    if found != shapes:
        odd = next(key for key in [*shapes, *found] if found.get(key) != shapes.get(key))
        has = found.get(odd, "nothing")
        raise LomarError(
            f"the rule {printable(name)} cannot be used here: it gives {has} for "
            f"{printable(odd)}, whose shape is {shapes.get(odd, 'none')}"
        )
    if np.shape(done.used) != (len(updates.clients),):
        raise LomarError(f"the rule {printable(name)} does not say of every client whether used")


def _mix(updates: Updates, matrix: Vector, name: str) -> Updates:
    same = len(matrix) == len(updates.clients)
    names = None if same else [f"{name} {number}" for number in range(1, len(matrix) + 1)]
    return updates.mix(matrix, names)


def _view(view: RoundView, updates: Updates) -> RoundView:
    geometry = Geometry(updates, view.geometry.memory, view.geometry.jobs)
    # Buckets have no history: their members are drawn anew in every round.
    history = view.history if updates.clients == view.updates.clients else ()
    return dataclasses.replace(view, updates=updates, geometry=geometry, history=history)


def _takes(thing: Any) -> bool:
    return _ASSUMES in {field.name for field in dataclasses.fields(thing)}


def _told(thing: Any, malicious: int | None) -> Any:
    """The same with the number filled in: among fewer, mixed updates it is still as many."""
    if malicious is None or not _takes(thing):
        return thing
    return dataclasses.replace(thing, assume_malicious=str(malicious))


def _options(thing: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(thing).items() if key != _ASSUMES}
