"""Three views on how far a client's neighbours are: ends of the scale of LoMar's own factor.

For a small bandwidth log F tends to how much closer the nearest neighbours are than the
neighbourhood reaches (tighter); for a large one to how far it reaches (thinner). ``k`` is half
of the clients, so that no neighbourhood is malicious throughout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lomar_cli.scoring.auto.base import Seen, Sight, Vector, cannot
from lomar_cli.scoring.auto.forward import split
from lomar_cli.scoring.selection import median

# (width, gap) of the forward search, in spreads.
_NEAR = (4.5, 0.75)
# In a small round the few clients with one major label are a cluster too: only far more counts.
_NEAR_SMALL = (11.0, 0.75)
_FAR = (4.5, 1.0)
_MEAN = (5.0, 1.0)
# By how much a flagged client has to differ from the usual, whatever the spread: less than that is
# what a label group has where clients are alike to a few per cent.
_LEAST = float(np.log(1.25))
# The same for groups that are larger than those of a label: of labels that look alike.
_LEAST_GROUP = float(np.log(3))
_SEVERAL, _SMALL = 4, 50
# The share of flagged clients from which on they have to be one crowd, whose distances are at most
# so much of the usual one; and from how many clients these are taken.
_CROWD, _TOGETHER, _SOME = 0.3, 0.5, 500


def near(seen: Seen) -> Sight:
    """``ln d_(k) - ln d_(m)``: tighter than its own neighbourhood, as what is sent in numbers.

    Once for m = 2, and in rounds that are not small for m = 4: where honest clients differ much,
    some come in close pairs by chance, but seldom in fives. And once for half as many again as
    share a major label, where those who do sit so close together that a larger group among them
    is not seen. Where most clients are near-copies of others, groups of less than a tenth of the
    round are no sign.
    """
    profile = seen.geometry.profile(_k(seen))
    small = _small(seen)
    reach, constants = _log(profile.kth), _NEAR_SMALL if small else _NEAR
    if seen.close:
        tenth = max(_SEVERAL, int(np.ceil(seen.geometry.count / 10)))
        within = seen.geometry.kth_distances([min(tenth, _k(seen))])[:, 0]
        return _judged(seen, reach - _log(within), constants, "tighter than", _LEAST_GROUP)
    columns, leasts = [profile.second], [_LEAST]
    if not small:
        larger = _more_than_a_label(seen)
        columns += list(seen.geometry.kth_distances([_SEVERAL, *larger]).T)
        leasts += [_LEAST] + [_LEAST_GROUP] * len(larger)
    sights = [
        _judged(seen, reach - _log(column), constants, "tighter than", least)
        for column, least in zip(columns, leasts, strict=True)
    ]
    found = [sight for sight in sights if sight.found]
    if not found:
        return sights[min(1, len(sights) - 1)]
    together = _union(found)
    if not _scattered(seen, together.suspicion > 1):
        return together
    count = int((together.suspicion > 1).sum())
    note = f"{count} of {len(reach)} clients lie in tight groups far from each other, as those of "
    # Only what is larger than a label's group is something else.
    if len(sights) > 2 and sights[2].found:
        return replace(sights[2], notes=[f"{note}a label do: 'near' flags larger groups only"])
    quiet = np.minimum(together.suspicion, 0.99)
    return Sight(quiet, False, notes=[f"{note}a label do: 'near' flags none of them"])


def _union(found: Sequence[Sight]) -> Sight:
    """What any of them flags; the first one's words come first."""
    words: dict[int, str] = {}
    for sight in reversed(found):
        words |= sight.words
    return Sight(np.fmax.reduce([sight.suspicion for sight in found]), True, words)


def _scattered(seen: Seen, flagged: NDArray[np.bool_]) -> bool:
    """Whether so many are flagged that they should be one crowd, and are not.

    A crowd's members are closer to each other than clients are in general.
    """
    if flagged.mean() < _CROWD:
        return False
    among, usual = (_usual(seen, one) for one in (np.flatnonzero(flagged), np.arange(len(flagged))))
    return among > _TOGETHER * usual


def _usual(seen: Seen, clients: NDArray[np.intp]) -> float:
    """The median distance between ``clients``, from some of them to all."""
    some = clients[np.linspace(0, len(clients) - 1, min(len(clients), _SOME)).astype(np.intp)]
    squares = seen.geometry.squares[np.ix_(some, clients)]
    return math.sqrt(max(0.0, median(squares[some[:, None] != clients])))


def _more_than_a_label(seen: Seen) -> list[int]:
    """Half as many again as the clients of one major label, if that is more than several."""
    if seen.geometry.updates.output is None:
        return []
    count = int(np.ceil(1.5 * seen.geometry.count / seen.geometry.updates.label_count))
    return [count] if _SEVERAL < count <= _k(seen) else []


def far(seen: Seen) -> Sight:
    """``ln d_(k)``: its nearer half of the round lies further off than others' does."""
    return _judged(seen, _log(seen.geometry.profile(_k(seen)).kth), _FAR, "further off than")


def mean(seen: Seen) -> Sight:
    """``ln mean(d_(1) .. d_(k))``: as ``far``, over the whole neighbourhood."""
    return _judged(
        seen, _log(seen.geometry.profile(_k(seen)).mean), _MEAN, "thinner around than", _LEAST
    )


def _judged(
    seen: Seen, values: Vector, constants: tuple[float, float], side: str, least: float = 0.0
) -> Sight:
    if not np.isfinite(values).all() or np.ptp(values) < 1e-6:
        return cannot(len(values), "the updates are too uniform to compare distances")
    found = split(values, *constants, seen.false_alarm)
    centre = float(np.median(values))
    suspicion = found.suspicion
    if found.found:
        # Beyond the threshold, but by too little to be more than what a label group has.
        small = values < centre + least
        suspicion = np.where(small, np.minimum(suspicion, 0.99), suspicion)
    flagged = np.flatnonzero(suspicion > 1)
    words = {int(i): f"{np.exp(values[i] - centre):.2g} times {side} usual" for i in flagged}
    return Sight(suspicion, len(flagged) > 0, words)


def _small(seen: Seen) -> bool:
    return seen.geometry.count < _SMALL


def _k(seen: Seen) -> int:
    return max(1, seen.geometry.count // 2)


def _log(distances: Vector) -> Vector:
    """Logarithms; distances of 0 count as a millionth of the median one."""
    floor = max(1e-6 * float(np.median(distances)), 1e-300)
    logs: Vector = np.log(np.maximum(distances, floor))
    return logs
