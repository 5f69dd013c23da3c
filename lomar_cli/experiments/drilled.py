"""What a drill found: every attack, share, seed and method, and what they come to together."""

from __future__ import annotations

from dataclasses import dataclass

from lomar_cli.experiments.results import unique

# Caught: this share of the attackers at least is flagged.
CAUGHT = 0.9


@dataclass(frozen=True)
class Row:
    """One attack at one share and seed, judged by one method; None where there is no number."""

    attack: str
    share: float
    seed: int
    method: str
    auc: float | None
    found: float | None
    false_alarms: float | None
    reason: str = ""


@dataclass(frozen=True)
class Drill:
    """All rows, and how many present clients each method flags unprovoked.

    ``unprovoked`` holds None for a method that cannot judge the round as it is, ``refused`` why.
    """

    clients: int
    rows: list[Row]
    unprovoked: dict[str, int | None]
    refused: dict[str, str]

    def values(self, attack: str, method: str, share: float, what: str) -> list[float]:
        """One number a seed."""
        return [
            value
            for row in self.rows
            if (row.attack, row.method, row.share) == (attack, method, share)
            and (value := getattr(row, what)) is not None
        ]

    def mean(self, attack: str, method: str, share: float, what: str) -> float | None:
        values = self.values(attack, method, share, what)
        return sum(values) / len(values) if values else None

    def fails_from(self, attack: str, method: str) -> float | None:
        """The smallest share at which fewer than ``CAUGHT`` of the attackers are flagged."""
        for share in self.shares:
            found = self.mean(attack, method, share, "found")
            if found is not None and found < CAUGHT:
                return share
        return None

    def applies(self, attack: str, method: str) -> bool:
        """False where no share and seed gave a verdict."""
        return any(self.values(attack, method, share, "found") for share in self.shares)

    def held(self, method: str) -> tuple[int, int]:
        """How many attacks the method catches at every share, and how many it was tried on."""
        tried = [attack for attack in self.attacks if self.applies(attack, method)]
        return sum(self.fails_from(attack, method) is None for attack in tried), len(tried)

    @property
    def shares(self) -> list[float]:
        return sorted({row.share for row in self.rows})

    @property
    def seeds(self) -> list[int]:
        return sorted({row.seed for row in self.rows})

    @property
    def attacks(self) -> list[str]:
        return unique(row.attack for row in self.rows)

    @property
    def methods(self) -> list[str]:
        """Those that can judge this round."""
        return [name for name in self.unprovoked if name not in self.refused]

    @property
    def not_run(self) -> dict[str, str]:
        """Attacks that could not be run here at any share, with the reason."""
        return {
            attack: next(row.reason for row in self.rows if row.attack == attack)
            for attack in self.attacks
            if not any(self.applies(attack, method) for method in self.methods)
        }
