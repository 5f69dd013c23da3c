"""Screen a round, let a method judge what is left, and put both into one table."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import LomarError, UsageError
from lomar_cli.files.updates import Updates
from lomar_cli.scoring.base import Judgement, Loss, Method, RoundView
from lomar_cli.scoring.distances import MakeAdder, SquareSum
from lomar_cli.scoring.gather import Gathered
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.groups import Groups, grouped, part
from lomar_cli.scoring.screen import claims_aside, magnitudes, screen
from lomar_cli.scoring.wide import LARGE, is_beyond, widened

# The suspicion of a client that was set aside: sorts above every other and is valid JSON.
ASIDE = sys.float_info.max


@dataclass(frozen=True)
class Screened:
    """A round after screening: the view of those that can be judged, and who cannot, and why.

    ``view`` is None when nobody can. Any number of methods can judge it and share its distances.
    """

    view: RoundView | None
    aside: dict[int, str]
    count: int
    groups: Groups | None = None

    def judge(self, method: Method) -> Judgement:
        """Judge every client of the round; the result covers all of them, in order."""
        if self.view is None:
            return Judgement(
                suspicion=np.full(self.count, ASIDE),
                threshold=0.0,
                keep=np.zeros(self.count, dtype=bool),
                reasons=list(self.aside.values()),
                notes=["no client could be judged: every update was set aside"],
            )

        def one(view: RoundView) -> Judgement:
            judged = method(view)
            check(judged, len(view.updates.clients), type(method).__name__)
            return judged

        judged = one(self.view) if self.groups is None else self.groups.judge(one)
        if not self.aside:
            return judged
        return _merge(judged, self.aside, _others(self.aside, self.count), self.count)

    def in_groups(self, names: Sequence[str | None] | None, keep: bool = False) -> Screened:
        """The same, of whose clients each is judged among those of its name (n,) alone.

        None is no group; without ``names`` all are judged together. With ``keep`` what one method
        has worked out of a group is there for the next.
        """
        if self.view is None or names is None:
            return self
        own = [names[row] for row in _others(self.aside, self.count)]
        return replace(self, groups=grouped(self.view, own, keep))

    def among(self, rows: NDArray[np.intp]) -> Screened:
        """The same with a view of some of the round's clients alone; the others are aside."""
        if self.view is None:
            return self
        judged = _others(self.aside, self.count)
        inside = np.flatnonzero(np.isin(judged, rows))
        others = {int(row): "of another group" for row in np.setdiff1d(judged, rows)}
        return Screened(part(self.view, inside), self.aside | others, self.count)


def judge(
    updates: Updates,
    method: Method,
    layers: Sequence[str] | None = None,
    memory: int = 2**31,
    jobs: int = 1,
    seed: int = 0,
    history: Sequence[Updates] = (),
    root: Updates | None = None,
    loss: Loss | None = None,
    adder: MakeAdder = SquareSum,
    gathered: Gathered | None = None,
    groups: Sequence[str | None] | None = None,
) -> Judgement:
    """Judge every client of ``updates``; the result covers all of them, in order.

    Clients that hold NaN, infinity, absurd magnitudes, nothing, or one number everywhere, or claim
    no samples, or more than there are, are flagged, and the others judged as if these had not
    come. ``layers`` are the parameters to look at (None: all). ``seed``, ``history``, ``root`` and
    ``loss`` are for the methods that want them (``RoundView``); ``adder`` and ``gathered`` are
    where distances are, or were, made (``Geometry``); ``groups`` (n,) are judged each by itself.
    """
    screened = prepare(
        updates,
        layers,
        memory,
        jobs,
        seed,
        history,
        root,
        loss,
        adder,
        gathered,
    )
    return screened.in_groups(groups).judge(method)


def prepare(
    updates: Updates,
    layers: Sequence[str] | None = None,
    memory: int = 2**31,
    jobs: int = 1,
    seed: int = 0,
    history: Sequence[Updates] = (),
    root: Updates | None = None,
    loss: Loss | None = None,
    adder: MakeAdder = SquareSum,
    gathered: Gathered | None = None,
    elsewhere: Callable[[Updates, NDArray[np.intp]], Geometry] | None = None,
) -> Screened:
    """Screen a round, and the earlier ones, for any number of methods.

    Buffers are screened but not compared, unless ``layers`` names them. ``elsewhere`` makes the
    geometry of the updates that are left, and of their positions (n,) in the round, where it is
    not to be made here.
    """
    if layers is not None:
        if updates.output is not None and updates.output.weight not in layers:
            raise UsageError(
                f"--layers: leaves out the output layer '{updates.output.weight}', which the "
                "densities need; add it"
            )
        updates = replace(updates.select(layers), buffers=frozenset())
        history = [earlier.select(layers) for earlier in history]
        root = root.select(layers) if root is not None else None
    else:
        history = [earlier.scored() for earlier in history]
    largest = magnitudes(updates.scored())
    aside = screen(updates.scored(), largest=largest)
    if updates.buffers:
        # By themselves: a counter may be far larger than any weight.
        others = screen(updates.select(list(updates.buffers)), buffers=True)
        aside = others | aside
    aside = dict(sorted((claims_aside(updates.num_examples) | aside).items()))
    updates = updates.scored()
    root = root.select(list(updates.tensors)) if root is not None else None
    count = len(updates.clients)
    rows = _others(aside, count)
    if len(rows) == 0:
        return Screened(None, aside, count)
    seen = updates.rows(rows)
    # Who sent nonsense in an earlier round counts as absent from it.
    earlier = [past.rows(_others(screen(past), len(past.clients))) for past in history]
    if is_beyond(largest[rows], seen.dtype):
        if largest[rows].max() > LARGE[8] or elsewhere is not None:
            raise LomarError(
                f"the round's values are as large as {largest[rows].max():.0e}, which cannot be "
                "compared" + (" by a cluster; leave --cluster out" if elsewhere else "; rescale it")
            )
        seen, earlier = widened(seen), [widened(past) for past in earlier]
        root = widened(root) if root is not None else None
        gathered = None
    if elsewhere is not None:
        geometry = elsewhere(seen, rows)
    else:
        known = None if gathered is None else gathered.of(rows)
        geometry = Geometry(seen, memory, jobs, adder, known)
    view = RoundView(seen, geometry, seed, earlier, root, loss)
    return Screened(view, aside, count)


def check(judged: Judgement, count: int, who: str) -> None:
    """LomarError for a judgement of ``count`` clients that is none, as of a method from elsewhere.

    A method that numbers are too much for must not pass for one that finds everybody honest.
    """
    own = {"client", "num_examples", "suspicion", "keep", "reason", "weight", "group"}
    sized = {"suspicion": judged.suspicion, "keep": judged.keep, **judged.columns}
    sized |= {} if judged.weight is None else {"weight": judged.weight}
    what = next((name for name, values in sized.items() if np.shape(values) != (count,)), None)
    if what is not None:
        fault = f"{what} must have shape ({count},), has {np.shape(sized[what])}"
    elif len(judged.reasons) != count:
        fault = f"reasons must be {count}, are {len(judged.reasons)}"
    elif np.asarray(judged.keep).dtype != bool:
        fault = "keep must be of type bool"
    elif not np.isfinite(judged.suspicion).all():
        fault = "suspicion is NaN or infinite for some clients"
    elif math.isnan(judged.threshold):
        fault = "its threshold is NaN"
    elif judged.weight is not None and not _in_votes(np.asarray(judged.weight)):
        fault = "weight must lie in (0, 1]"
    elif own & set(judged.columns):
        fault = f"columns: {min(own & set(judged.columns))} is the name of a column of its own"
    else:
        return
    raise LomarError(f"the method {who} cannot be used here: {fault}")


def _in_votes(weight: NDArray[np.float64]) -> bool:
    return bool(((weight > 0) & (weight <= 1)).all())


def _others(aside: dict[int, str], count: int) -> NDArray[np.intp]:
    return np.array([row for row in range(count) if row not in aside], dtype=np.intp)


def _merge(
    judged: Judgement, aside: dict[int, str], rows: NDArray[np.intp], count: int
) -> Judgement:
    suspicion = np.full(count, ASIDE)
    suspicion[rows] = judged.suspicion
    keep = np.zeros(count, dtype=bool)
    keep[rows] = judged.keep
    reasons = [aside.get(row, "") for row in range(count)]
    for row, reason in zip(rows, judged.reasons, strict=True):
        reasons[row] = reason
    columns = {}
    for name, values in judged.columns.items():
        columns[name] = np.full(count, np.nan)
        columns[name][rows] = values
    weight = None
    if judged.weight is not None:
        # Who was set aside shares its vote with nobody.
        weight = np.ones(count)
        weight[rows] = judged.weight
    note = f"{len(aside)} of {count} clients set aside before scoring: what they hold is no update"
    notes = [note, *judged.notes]
    return Judgement(suspicion, judged.threshold, keep, reasons, columns, notes, weight)
