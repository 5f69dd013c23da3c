"""LoMar at both ends of its scale, and on labels: finds attackers without knowing their number.

Each view (``scoring/auto``) looks at the round from one side and has a threshold that a minority
cannot drag along; a client is removed when any of them flags it. ``docs/method.md`` has the
equations, the figures and what it cannot find. An honest majority is assumed, and protection
claimed up to about 40 % of the clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import UsageError, nearest
from lomar_cli.files.text import counted
from lomar_cli.scoring.auto import copies
from lomar_cli.scoring.auto.base import Seen, Sight
from lomar_cli.scoring.auto.level import Level, level_of, one_length
from lomar_cli.scoring.auto.views import VIEWS
from lomar_cli.scoring.base import Judgement, RoundView, Vector
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.threads import one_blas_thread

LEAST_CLIENTS = 10
# The share that one view may flag: where a label may be the major one of that many honest clients,
# by chance in a small round (``ViewEntry.small``) or by having few labels, and elsewhere.
_SMALL_MINORITY, _MINORITY = 0.3, 0.5
_FEW_LABELS = 3
# With a larger share of near-copies, clients are close by nature, as on KDD Cup 99.
_CLOSE = 0.5
# A copy is kept, at a part of a vote, and ranks just below the threshold, where copies are rare or
# it is the very same as another; who may be the one that the others copy ranks below these.
_COPY, _COPIED = 0.95, 0.9


@dataclass(frozen=True)
class LomarAuto:
    """The method's options; calling it on a round judges every client.

    ``views`` names those to use, separated by commas; ``false_alarm`` is the share of clean
    clients that may be removed.
    """

    # Streaming gathers the distances in the pass that checks the file.
    by_distance: ClassVar[bool] = True
    by_course: ClassVar[bool] = True

    views: str = "all"
    false_alarm: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.false_alarm < 0.5:
            raise UsageError(f"--false-alarm {self.false_alarm}: must lie between 0 and 0.5")
        self.chosen()

    @property
    def asks_course(self) -> bool:
        """Whether any of its views does."""
        return any(VIEWS[name].course for name in self.chosen())

    def chosen(self) -> list[str]:
        """The views to use, in their own order."""
        if self.views == "all":
            return list(VIEWS)
        names = [name.strip() for name in self.views.split(",") if name.strip()]
        for name in names:
            if name not in VIEWS:
                raise UsageError(
                    f"--views: there is no view '{name}'{nearest(name, list(VIEWS))} "
                    f"(there are: {', '.join(VIEWS)})"
                )
        if not names:
            raise UsageError(f"--views: names none (there are: {', '.join(VIEWS)})")
        return [name for name in VIEWS if name in names]

    def __call__(self, view: RoundView) -> Judgement:
        count = len(view.updates.clients)
        names = self.chosen()
        if count < LEAST_CLIENTS:
            return _nobody(
                count, names, f"{_clients(count)} too few to compare: it takes {LEAST_CLIENTS}"
            )
        # Many small products: on several threads BLAS waits for longer than it saves. Distances are
        # shared among threads of their own.
        with one_blas_thread():
            return self._judge(view, names)

    def _judge(self, view: RoundView, names: list[str]) -> Judgement:
        count = len(view.updates.clients)
        # One reading of the updates gives the course with the lengths, or the lengths alone.
        lengths = view.geometry.course.lengths if self.asks_course else view.geometry.norms
        level = level_of(lengths, view.updates.num_examples)
        factors = None if level is None else level.factors
        groups = copies.find(view.geometry, lengths, factors)
        if len(groups.medoids) < LEAST_CLIENTS:
            return _nobody(
                count,
                names,
                f"only {len(groups.medoids)} of {count} updates are different: it takes "
                f"{LEAST_CLIENTS}",
                1 / groups.size,
            )
        close = bool((groups.size > 1).mean() > _CLOSE)
        even = one_length(lengths, view.updates.num_examples) if level is None else level
        sights = self._look(view.geometry, groups, names, close, level, even)
        return _together(sights, groups, close, [] if even is None else [even.note])

    def _look(
        self,
        everybody: Geometry,
        groups: copies.Groups,
        names: list[str],
        close: bool,
        level: Level | None,
        even: Level | None,
    ) -> dict[str, Sight]:
        """Let the views look in turn; what one flags, the next does not learn from.

        All but those that look at ``each`` see the medoids alone, and say the same of the clients
        that these stand for, at one ``level`` but for those that look at ``amounts``, and at
        ``even`` lengths if they ask for ``closeness``. Who looks at ``each`` sees everybody, but
        of a crowd of copies its medoid alone, too.
        """
        geometry = everybody
        if len(groups.medoids) < everybody.count:
            geometry = everybody.part(groups.medoids)
        shown, places = groups.shown()
        apart = geometry
        if len(shown) > geometry.count:
            # Not read once more for those it is of already.
            apart = everybody if len(shown) == everybody.count else everybody.part(shown)
        levelled = geometry if level is None else level.of(geometry, groups.medoids)
        # The same matrix of distances where it is the same level.
        evened = levelled
        if even is not None and even is not level:
            evened = even.of(geometry, groups.medoids)
        trusted = np.ones(geometry.count, dtype=bool)
        sights: dict[str, Sight] = {}
        each: dict[str, Sight] = {}
        few = geometry.updates.output is not None and geometry.updates.label_count <= _FEW_LABELS
        most = {name: _most(name, geometry.count, few) for name in names}
        shared: dict[str, Any] = {}
        for name in names:
            if VIEWS[name].each:
                all_trusted = np.ones(apart.count, dtype=bool)
                seen_all = Seen(apart, all_trusted, self.false_alarm, close)
                each[name] = VIEWS[name].look(seen_all).of(places)
                sight = each[name].of(groups.medoids)
            else:
                here = evened if VIEWS[name].closeness else levelled
                here = geometry if VIEWS[name].amounts else here
                sight = VIEWS[name].look(Seen(here, trusted, self.false_alarm, close, shared))
            flagged = sight.suspicion > 1
            if flagged.sum() < most[name] and (trusted & ~flagged).mean() > 0.5:
                trusted = trusted & ~flagged
            sights[name] = sight
        for name in names:
            after = VIEWS[name].after
            if after in sights and sights[name].found and sights[after].found:
                others = [sights[other].suspicion > 1 for other in names if other != name]
                left = ~np.any(others, axis=0)
                if left.mean() > 0.5:
                    seen = Seen(geometry, left, self.false_alarm, close, shared)
                    sights[name] = _both(sights[name], VIEWS[name].look(seen))
        wide = {
            name: each[name] if name in each else sight.of(groups.number)
            for name, sight in sights.items()
        }
        votes = 1 / groups.size
        return {
            name: _believed(name, wide, most[name], votes)
            if name in each
            else _believed(name, sights, most[name]).of(groups.number)
            for name in sights
        }


def _both(one: Sight, other: Sight) -> Sight:
    """Whom a view flags at two looks."""
    suspicion = np.fmin(one.suspicion, other.suspicion)
    return replace(one, suspicion=suspicion, found=bool((suspicion > 1).any()))


def _most(name: str, count: int, few_labels: bool) -> float:
    """How many clients are too many for a view to flag alone."""
    small = few_labels or count < VIEWS[name].small
    return (_SMALL_MINORITY if small else _MINORITY) * count


def _believed(
    name: str, sights: dict[str, Sight], most: float, votes: Vector | None = None
) -> Sight:
    """The sight, or none where it flags too many for a minority and no view of another kind does.

    A group with one major label is tight, or thin, by itself; attackers tend to be more than that.
    Clients count by their ``votes`` (n,), None stands for 1 each.
    """
    flagged = sights[name].suspicion > 1
    count = len(flagged)
    votes = np.ones(count) if votes is None else votes
    many = float(votes[flagged].sum())
    if many < most:
        return sights[name]
    seconded = any(
        (flagged & other.seconded).sum() >= 0.9 * flagged.sum()
        for key, other in sights.items()
        if VIEWS[key].kind != VIEWS[name].kind
    )
    if seconded and many < _MINORITY * votes.sum():
        return sights[name]
    note = (
        f"the view '{name}' alone would flag {int(flagged.sum())} of {count} clients, too many to "
        "call them a minority: it is not believed"
    )
    return Sight(np.full(count, np.nan), False, notes=[note])


def _together(
    sights: dict[str, Sight], groups: copies.Groups, close: bool, before: Sequence[str]
) -> Judgement:
    """The views' verdicts on all clients as one.

    Those of a group of copies that are kept share one vote.
    """
    columns: dict[str, Vector] = {}
    count = len(groups.number)
    suspicion = np.zeros(count)
    for name, sight in sights.items():
        columns[f"view_{name}"] = sight.suspicion
        # A view that found nobody ranks, and must not drown the one that did.
        part = columns[f"view_{name}"] if sight.found else 0.5 * columns[f"view_{name}"]
        suspicion = np.fmax(suspicion, part)
    copied = groups.size > 1
    crowd = groups.crowd
    ranked = groups.same if close else copied
    ranks = np.where(groups.middle, _COPIED, _COPY)
    suspicion = np.where(ranked, np.maximum(suspicion, ranks), suspicion)
    crowding = np.maximum(groups.size / (copies.CROWD * count), 1.01)
    suspicion = np.where(crowd, np.maximum(suspicion, crowding), suspicion)
    keep = suspicion <= 1
    votes = _votes(groups, keep)
    reasons = [
        _kept(int(groups.size[i]), float(votes[i]))
        if keep[i]
        else _reason(i, sights, int(groups.size[i]), bool(crowd[i]))
        for i in range(count)
    ]
    # Views that look at the same thing may give the same reason for not looking.
    said = (note for sight in sights.values() for note in sight.notes)
    notes = list(dict.fromkeys([*before, *said]))
    shared = len(np.unique(groups.number[copied]))
    if shared:
        notes.append(
            f"{int(copied.sum())} clients are near-copies of each other, in "
            f"{counted(shared, 'set')}: each set has one vote"
        )
    if all(np.isnan(sight.suspicion).all() for sight in sights.values()):
        notes.append("no view could judge this round: everybody is kept")
    return Judgement(
        suspicion=suspicion,
        threshold=1.0,
        keep=keep,
        reasons=reasons,
        columns=columns,
        notes=notes,
        weight=votes,
    )


def _votes(groups: copies.Groups, keep: NDArray[np.bool_]) -> Vector:
    """What each client's vote counts (n,): one a group, shared by those of it that are kept."""
    kept = np.bincount(groups.number, weights=keep, minlength=len(groups.medoids))
    found: Vector = 1 / np.where(keep, kept[groups.number], groups.size)
    return found


def _kept(size: int, vote: float) -> str:
    """Why a client is kept, one of so many near-copies."""
    if size == 1:
        return "within every view's threshold"
    if vote == 1:
        return f"one of {size} near-copies, of which the others are removed"
    return f"one of {size} near-copies, which share one vote"


def _reason(client: int, sights: dict[str, Sight], size: int, crowd: bool) -> str:
    """Why a client is removed."""
    others = f"one of {size} near-copies" if size > 1 else ""
    found = []
    for name, sight in sights.items():
        if sight.suspicion[client] > 1:
            words = sight.words.get(client) or VIEWS[name].side
            found.append(f"{name} {sight.suspicion[client]:.1f}: {words}")
    if crowd:
        found.append(f"{others}: more than any honest clients send")
    elif others:
        found.append(others)
    return "; ".join(found)


def _clients(count: int) -> str:
    return "1 client is" if count == 1 else f"{count} clients are"


def _nobody(
    count: int, names: list[str], why: str, weight: NDArray[np.float64] | None = None
) -> Judgement:
    """Keep everybody, with the reason."""
    return Judgement(
        suspicion=np.zeros(count),
        threshold=1.0,
        keep=np.ones(count, dtype=bool),
        reasons=[f"cannot be judged: {why}"] * count,
        columns={f"view_{name}": np.full(count, np.nan) for name in names},
        notes=[f"{why}: everybody is kept"],
        weight=weight,
    )
