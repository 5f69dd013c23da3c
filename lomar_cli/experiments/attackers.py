"""The attack of a cell: on the split before the first round, on each round, or both in turn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lomar_cli.attacks.registry import ATTACKS, round_attack
from lomar_cli.experiments.plan import Cell
from lomar_cli.experiments.schema import split_options
from lomar_cli.files.truth import Truth, read_truth, write_truth
from lomar_cli.stages.attack_round import Sources, Who, attack_round
from lomar_cli.stages.attack_split import attack_split


class Attackers:
    """Applies a cell's attack to the files in ``folder``; the truth is in ``truth.json`` there.

    The same clients attack in every round: an attack on rounds adds or turns its clients in the
    first round, and finds them by name afterwards.
    """

    def __init__(self, cell: Cell, folder: Path, data_dir: Path | None) -> None:
        self.cell, self.folder, self.data_dir = cell, folder, data_dir
        self.attack = cell.attack
        self.truth = folder / "truth.json"
        name = self.attack.get("name", "none")
        self.on_split = cell.attacked and ATTACKS[name].on == "split"
        self.on_rounds: list[Mapping[str, Any]] = []
        if cell.attacked and not self.on_split:
            self.on_rounds.append(self.attack)
        if cell.attacked and "then" in self.attack:
            self.on_rounds.append(self.attack["then"])

    @property
    def replays(self) -> bool:
        """True when an attack sends, or looks at, the round before."""
        return any("replay" in round_attack(one["name"]).takes for one in self.on_rounds)

    @property
    def number(self) -> int:
        """How many clients are malicious, as the truth says."""
        return len(read_truth(self.truth).malicious) if self.truth.exists() else 0

    def split(self, clean: Path, data_file: Path | None) -> Path:
        """The split that the clients train on."""
        if not self.on_split:
            if not self.on_rounds:
                write_truth(self.truth, Truth([]), force=True)
            return clean
        poisoned = self.folder / "poisoned.h5"
        attack_split(
            clean,
            poisoned,
            self.attack["name"],
            split_options(self.attack["name"], self.attack),
            malicious=self.attack.get("malicious"),
            convert=self.attack.get("convert"),
            truth=self.truth,
            seed=self.cell.seed,
            data_dir=self.data_dir,
            data_file=data_file,
            force=True,
        )
        return poisoned

    def round(self, made: Path, number: int, before: Path | None) -> None:
        """Let the attackers change the round in ``made``; ``before`` is the last round as sent."""
        for place, attack in enumerate(self.on_rounds):
            poisoned, said = self.folder / "attacked.h5", self.folder / "attacked.json"
            replays = "replay" in round_attack(attack["name"]).takes
            first = number == 1 and place == 0 and not self.on_split
            attack_round(
                made,
                poisoned,
                attack["name"],
                attack.get("options", {}),
                self._who(attack) if first else self._named(attack),
                attack.get("knowledge", "all"),
                Sources(replay=before if replays else None),
                truth=said,
                seed=self.cell.derived_seed(number, 1),
                force=True,
            )
            poisoned.replace(made)
            if first:
                said.replace(self.truth)
            else:
                said.unlink()

    def _who(self, attack: Mapping[str, Any]) -> Who:
        # The seed of the ids is the cell's: the same clients are added to every round.
        return Who(attack.get("malicious"), attack.get("convert"), ids_seed=self.cell.seed)

    def _named(self, attack: Mapping[str, Any]) -> Who:
        # Clients that an attack adds do not train, so they are added anew to every round.
        return self._who(attack) if "malicious" in attack else Who(convert_named=self.truth)
