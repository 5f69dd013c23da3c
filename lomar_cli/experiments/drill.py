"""A drill on a person's own round: which attack would which method have caught there?

Every attack on rounds is let loose on copies of the round in memory, at several shares of
attackers and seeds; every method judges each copy. No data and no training is needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lomar_cli.attacks.registry import ATTACKS, make_round_attack
from lomar_cli.engine.base import Engine
from lomar_cli.engine.checks import check_files
from lomar_cli.engine.opened import local_engine
from lomar_cli.errors import LomarError, NotLoadedError, UsageError, nearest
from lomar_cli.experiments.results import unique
from lomar_cli.files.round import open_round
from lomar_cli.files.text import printable
from lomar_cli.files.updates import Updates
from lomar_cli.learning.metrics import detection
from lomar_cli.scoring.base import Method
from lomar_cli.scoring.judge import prepare
from lomar_cli.scoring.registry import METHODS
from lomar_cli.stages.poison import Knowledge, turn
from lomar_cli.threads import one_blas_thread

# Methods that are quick at a thousand clients; --methods takes any others.
DEFAULT_METHODS = (
    *("lomar-auto", "lomar", "krum", "foolsgold"),
    *("spectral", "signguard", "lof", "kde", "ecod"),
)
ALL = "all"
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


def chosen(
    names: Sequence[str] | None, default: Sequence[str], known: list[str], flag: str
) -> list[str]:
    """The names asked for, each once, or the default ones; an unknown one is refused."""
    for name in names or []:
        if name not in known:
            raise UsageError(
                f"{flag}: there is no '{printable(name)}'{nearest(name, known)} "
                f"(known: {', '.join(known)})"
            )
    return unique(names or default)


def drill(
    path: Path,
    attacks: Sequence[str] | None,
    methods: Sequence[str] | None,
    shares: Sequence[float],
    seeds: Sequence[int],
    memory: int,
    begin: Callable[[int], None] = lambda total: None,
    advance: Callable[[int], None] = lambda count: None,
    engine: Engine | None = None,
) -> Drill:
    """Attack copies of the round in ``path`` and judge them; nothing is written.

    ``shares`` are rounded to whole clients, at least one.

    ``methods`` may be ``["all"]``: every method but ``none``. ``engine`` attacks and judges the
    copies (None: this process); the numbers do not depend on it. Its workers on this machine share
    ``memory`` (bytes), every other has as much.
    """
    known = [name for name, entry in ATTACKS.items() if entry.on == "round"]
    attacks = chosen(attacks, known, known, "--attacks")
    if list(methods or []) == [ALL]:
        methods = [name for name in METHODS.names() if name != "none"]
    methods = chosen(methods, DEFAULT_METHODS, [*METHODS.names(), ALL], "--methods")
    if ALL in methods:
        raise UsageError("--methods: 'all' stands alone")
    engine = engine or local_engine(1)
    if engine.remote:
        path = path.absolute()
        check_files(engine, [path])
    made: dict[str, Method] = {}
    refused: dict[str, str] = {}
    for name in methods:
        try:
            made[name] = METHODS.make(name, {})
        except NotLoadedError as error:
            refused[name] = str(error)
    with open_round(path, memory) as found, one_blas_thread():
        count = len(found.head.clients)
        calm = _judge(found.updates, made, memory, calm=True)
    unprovoked: dict[str, int | None] = dict.fromkeys(refused)
    for name, verdict in calm.items():
        if isinstance(verdict, str):
            refused[name], unprovoked[name] = verdict, None
        else:
            unprovoked[name] = int((~verdict[1]).sum())
    # As they can be had of whole clients: a tenth of 4 clients is one, a quarter.
    shares = unique(_attackers(one, count) / count for one in sorted(shares))
    copies = list(itertools.product(attacks, shares, seeds))
    begin(len(copies))
    rows: list[Row] = []
    share = memory // max(1, min(engine.beside, len(copies)))
    calls = ((path, copy, made, share) for copy in copies)
    for judged in engine.ordered(_one, calls, ahead=4 * engine.workers):
        rows += judged
        advance(1)
    return Drill(count, rows, unprovoked, refused)


Copy = tuple[str, float, int]
Verdict = tuple[np.ndarray, np.ndarray] | str


def _judge(
    updates: Updates, made: dict[str, Method], memory: int, calm: bool = False
) -> dict[str, Verdict]:
    """(suspicion, keep) by method over shared distances, or why it cannot.

    ``calm`` is the round as it is: a method that tells no client of it from another cannot.
    """
    screened = prepare(updates, memory=memory)
    found: dict[str, Verdict] = {}
    for name, method in made.items():
        try:
            judged = screened.judge(method)
        except LomarError as error:
            found[name] = str(error)
            continue
        except (OSError, MemoryError):
            raise
        except Exception as error:
            # Another package's, perhaps: the drill of the others goes on.
            found[name] = f"it failed ({type(error).__name__}: {printable(str(error), 200)})"
            continue
        found[name] = (judged.suspicion, judged.keep)
        if calm and name != "none" and judged.keep.all() and not np.ptp(judged.suspicion):
            # Not beaten by any attack: it has nothing to say of so small a round.
            found[name] = "; ".join(judged.notes) or "all clients look the same to it"
    return found


def _attackers(share: float, clients: int) -> int:
    return max(1, round(share * clients))


def _one(path: Path, copy: Copy, made: dict[str, Method], memory: int) -> list[Row]:
    """Attack one copy and let every method judge it."""
    attack, share, seed = copy
    # On one thread, so that the numbers are the same however many share the work.
    with open_round(path, memory) as found, one_blas_thread():
        number = _attackers(share, len(found.head.clients))
        try:
            done = turn(
                found.updates,
                make_round_attack(attack, {}),
                number,
                Knowledge("all", None, None, set()),
                seed,
                memory,
            )
        except LomarError as error:
            return [Row(attack, share, seed, name, None, None, None, str(error)) for name in made]
        verdicts = _judge(done.updates, made, memory)
    rows = []
    for name, verdict in verdicts.items():
        if isinstance(verdict, str):
            rows.append(Row(attack, share, seed, name, None, None, None, verdict))
            continue
        measured = detection(done.updates.clients, *verdict, set(done.malicious))
        numbers = (measured["auc"], measured["found"], measured["false_alarms"])
        rows.append(Row(attack, share, seed, name, *numbers))
    return rows
