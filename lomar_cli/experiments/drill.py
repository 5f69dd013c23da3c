"""A drill on a person's own round: which attack would which method have caught there?

Every attack on rounds is let loose on copies of the round in memory, at several shares of
attackers and seeds; every method judges each copy. No data and no training is needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lomar_cli.attacks.context import Earlier
from lomar_cli.attacks.registry import ATTACKS, make_round_attack, round_attack
from lomar_cli.engine.base import Engine
from lomar_cli.engine.checks import check_files
from lomar_cli.engine.opened import local_engine
from lomar_cli.errors import LomarError, NotLoadedError, UsageError, nearest
from lomar_cli.experiments.drilled import Drill, Row
from lomar_cli.experiments.results import unique
from lomar_cli.files.round import Round, open_round
from lomar_cli.files.text import printable
from lomar_cli.files.updates import Updates
from lomar_cli.learning.metrics import detection
from lomar_cli.scoring.base import Method
from lomar_cli.scoring.judge import Screened, prepare
from lomar_cli.scoring.registry import METHODS
from lomar_cli.stages.attack_round import as_earlier
from lomar_cli.stages.context import Context, open_context
from lomar_cli.stages.poison import Knowledge, turn
from lomar_cli.stages.score import start_loss
from lomar_cli.threads import one_blas_thread

if TYPE_CHECKING:
    from lomar_cli.stages.holdout import HeldOut

# Methods that are quick at a thousand clients; --methods takes any others.
DEFAULT_METHODS = (
    *("lomar-auto", "lomar", "krum", "foolsgold"),
    *("spectral", "signguard", "lof", "kde", "ecod"),
)
ALL = "all"


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


@dataclass(frozen=True)
class Beside:
    """What methods and attackers may ask for beside the round; as ``stages.score.score`` has it.

    Attackers that replay send again what clients sent in the last earlier round.
    """

    history: Sequence[Path] = ()
    root: Path | None = None
    held_out: HeldOut | None = None
    base_model: Path | None = None

    def methods(self) -> list[str]:
        """Those that can judge with what is given, and cannot without."""
        given = {
            "fldetector": len(self.history) > 0,
            "fltrust": self.root is not None,
            "zeno-plus": self.root is not None,
            "zeno": self.held_out is not None,
        }
        return [name for name, there in given.items() if there]

    def files(self) -> list[Path]:
        """The files among them, those of folders of earlier rounds, too."""
        given = [*self.history, self.root, self.base_model]
        if self.held_out is not None:
            given += [self.held_out.split, self.held_out.data_file]
        found = [path for path in given if path is not None]
        inside = [sorted(path.iterdir()) if path.is_dir() else [path] for path in found]
        return [path for paths in inside for path in paths if path.is_file()]

    def absolute(self) -> Beside:
        def moved(path: Path | None) -> Path | None:
            return None if path is None else path.absolute()

        held = self.held_out
        if held is not None:
            held = replace(
                held,
                split=held.split.absolute(),
                data_dir=moved(held.data_dir),
                data_file=moved(held.data_file),
            )
        history = [path.absolute() for path in self.history]
        return Beside(history, moved(self.root), held, moved(self.base_model))


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
    beside: Beside = Beside(),
) -> Drill:
    """Attack copies of the round in ``path`` and judge them; nothing is written.

    ``shares`` are rounded to whole clients, at least one.

    ``methods`` may be ``["all"]``: every method but ``none``. ``engine`` attacks and judges the
    copies (None: this process); the numbers do not depend on it. Its workers on this machine share
    ``memory`` (bytes), every other has as much. ``beside`` lets those judge that need more than a
    round; it stays as it is when clients of the round are turned.
    """
    known = [name for name, entry in ATTACKS.items() if entry.on == "round"]
    attacks = chosen(attacks, known, known, "--attacks")
    if list(methods or []) == [ALL]:
        methods = [name for name in METHODS.names() if name != "none"]
    methods = chosen(
        methods, [*DEFAULT_METHODS, *beside.methods()], [*METHODS.names(), ALL], "--methods"
    )
    if ALL in methods:
        raise UsageError("--methods: 'all' stands alone")
    engine = engine or local_engine(1)
    if engine.remote:
        path, beside = path.absolute(), beside.absolute()
        check_files(engine, [path, *beside.files()])
    made: dict[str, Method] = {}
    refused: dict[str, str] = {}
    for name in methods:
        try:
            made[name] = METHODS.make(name, {})
        except NotLoadedError as error:
            refused[name] = str(error)
    with (
        open_round(path, memory) as found,
        open_context(found, beside.history, beside.root, memory) as context,
        one_blas_thread(),
    ):
        count = len(found.head.clients)
        calm = _judge(_screened(found, found.updates, context, beside, memory), made, calm=True)
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
    calls = ((path, copy, made, share, beside) for copy in copies)
    for judged in engine.ordered(_one, calls, ahead=4 * engine.workers):
        rows += judged
        advance(1)
    return Drill(count, rows, unprovoked, refused)


Copy = tuple[str, float, int]
Verdict = tuple[np.ndarray, np.ndarray] | str


def _screened(
    found: Round, updates: Updates, context: Context, beside: Beside, memory: int
) -> Screened:
    loss = start_loss(found, context, beside.held_out, beside.base_model)
    history, root = context.history, context.root
    return prepare(updates, memory=memory, history=history, root=root, loss=loss)


def _judge(screened: Screened, made: dict[str, Method], calm: bool = False) -> dict[str, Verdict]:
    """(suspicion, keep) by method over shared distances, or why it cannot.

    ``calm`` is the round as it is: a method that tells no client of it from another cannot.
    """
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


def _before(attack: str, context: Context) -> Earlier | None:
    """The last earlier round, for attacks that look at it."""
    if not context.history or "replay" not in round_attack(attack).takes:
        return None
    return as_earlier(context.history[-1], "--history")


def _attackers(share: float, clients: int) -> int:
    return max(1, round(share * clients))


def _one(path: Path, copy: Copy, made: dict[str, Method], memory: int, beside: Beside) -> list[Row]:
    """Attack one copy and let every method judge it."""
    attack, share, seed = copy
    # On one thread, so that the numbers are the same however many share the work.
    with (
        open_round(path, memory) as found,
        open_context(found, beside.history, beside.root, memory) as context,
        one_blas_thread(),
    ):
        number = _attackers(share, len(found.head.clients))
        try:
            done = turn(
                found.updates,
                make_round_attack(attack, {}),
                number,
                Knowledge("all", None, _before(attack, context), set()),
                seed,
                memory,
            )
        except LomarError as error:
            here = ""
            if "replay" in round_attack(attack).takes and not context.history:
                here = " (in a drill: --history ROUND)"
            reason = f"{error}{here}"
            return [Row(attack, share, seed, name, None, None, None, reason) for name in made]
        verdicts = _judge(_screened(found, done.updates, context, beside, memory), made)
    rows = []
    for name, verdict in verdicts.items():
        if isinstance(verdict, str):
            rows.append(Row(attack, share, seed, name, None, None, None, verdict))
            continue
        measured = detection(done.updates.clients, *verdict, set(done.malicious))
        numbers = (measured["auc"], measured["found"], measured["false_alarms"])
        rows.append(Row(attack, share, seed, name, *numbers))
    return rows
