"""A federation on its own course: the model of each round is what a defense made of the last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from _attacks import Attacked
from _rounds import TRAINING, Arrays, Trained, train
from _worlds import World
from numpy.typing import NDArray

from lomar_cli.aggregation.registry import RULES
from lomar_cli.learning.registry import Training
from lomar_cli.scoring.judge import prepare
from lomar_cli.scoring.options import parse_settings
from lomar_cli.scoring.registry import METHODS

# "lof@told" removes as many as there are attackers, whatever the method's threshold;
# "rule:median" is a rule in place of a method.
TOLD, RULE = "told", "rule:"


class Course:
    """Trains every part of a round from the model that the defense has left."""

    def __init__(self, world: World, training: Training = TRAINING) -> None:
        self.world, self.training = world, training
        self.model: Arrays = world.initial()
        self._parts: dict[tuple[int, str], Trained] = {}

    def part(self, number: int, name: str) -> Trained:
        if (number, name) not in self._parts:
            # The round before stays, for who sends it again.
            self._parts = {key: one for key, one in self._parts.items() if key[0] >= number - 1}
            made = train(self.world, name, self.model, self.training, number)
            self._parts[number, name] = made
        return self._parts[number, name]

    peek = part

    def step(self, update: Mapping[str, NDArray[Any]]) -> None:
        """Go on by the update that the server has made of the round."""
        self.model = {
            name: (value + update[name]).astype(np.float32) for name, value in self.model.items()
        }

    def right(self, label: int | None = None) -> float:
        """The share of test samples (of one true label) that the model takes for what they are."""
        data = self.world.dataset
        rows = (
            np.arange(len(data.y_test)) if label is None else np.flatnonzero(data.y_test == label)
        )
        features = data.features(rows, test=True)
        guessed = self.world.model.predict(self.model, features, data)
        return float((guessed == data.y_test[rows]).mean())


@dataclass(frozen=True)
class Defended:
    """What a defense makes of a round: one update, and who was left out (clients,)."""

    update: Mapping[str, NDArray[Any]]
    out: NDArray[np.bool_]


def defend(made: Attacked, defense: str, seed: int) -> Defended:
    """The average of those whom the defense keeps, by its weights where it gives any.

    All hold as many samples. The number of attackers is told to whoever takes it.
    """
    told = {"assume_malicious": str(int(made.malicious.sum()))}
    screened = prepare(made.updates, seed=seed)
    count = len(made.malicious)
    if defense.startswith(RULE):
        assert screened.view is not None and not screened.aside
        rule = RULES.make(defense.removeprefix(RULE), told, strict=False)
        done = rule(screened.view, np.ones(count))
        return Defended(done.update, ~done.used)
    name, *settings = defense.split("@")
    plain = [one for one in settings if one != TOLD]
    judged = screened.judge(METHODS.make(name, {**told, **parse_settings(plain)}, strict=False))
    keep = np.asarray(judged.keep)
    if TOLD in settings:
        worst = np.argsort(-judged.suspicion, kind="stable")[: int(made.malicious.sum())]
        keep = ~np.isin(np.arange(count), worst)
    given = getattr(judged, "weight", None)
    weight = keep * (np.ones(count) if given is None else np.asarray(given, np.float64))
    share = weight / weight.sum() if weight.sum() > 0 else weight
    update = {
        name: np.tensordot(share[keep], np.asarray(tensor[:], np.float64)[keep], 1)
        for name, tensor in made.updates.tensors.items()
    }
    return Defended(update, ~keep)
