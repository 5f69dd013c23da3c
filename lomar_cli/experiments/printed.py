"""The paper's numbers (``paper/*.csv``), looked up by setting, defense and measure.

From the tables of "LoMar: A Local Defense Against Poisoning Attack on Federated Learning" (Li et
al. 2022), as printed. What the paper heads "target label accuracy" is ``source`` there: it is the
accuracy on samples whose true label the attack passes off as another.
"""

from __future__ import annotations

import csv
from importlib.resources import files

PAPER = files("lomar_cli.experiments") / "paper"
NOTE = (
    "Paper: the printed value. The paper's 'target label accuracy' is the accuracy on samples "
    "whose true label is attacked; it is named 'source' here. The paper's setting is lambda 0, "
    "tau 0.1."
)


class Printed:
    """One table of the paper; ``of`` returns None where it has no such number."""

    def __init__(self, name: str) -> None:
        self._values: dict[tuple[str, str, str], float] = {}
        text = (PAPER / f"{name}.csv").read_text("utf-8")
        for row in csv.DictReader(text.splitlines()):
            setting, defense = row.pop("setting"), row.pop("defense")
            for measure, value in row.items():
                self._values[_plain(setting), _plain(defense), measure] = float(value)

    @property
    def measures(self) -> list[str]:
        return list(dict.fromkeys(measure for _, _, measure in self._values))

    @property
    def settings(self) -> list[str]:
        """The names of the data sets, in small letters without spaces."""
        return list(dict.fromkeys(setting for setting, _, _ in self._values))

    def has(self, setting: str) -> bool:
        return _plain(setting) in self.settings

    def of(self, setting: str, defense: str, measure: str) -> float | None:
        """Case and spaces of the names do not matter: ``FG+Krum`` is ``FG + Krum``."""
        return self._values.get((_plain(setting), _plain(defense), measure))


def _plain(name: str) -> str:
    return "".join(name.split()).casefold()
