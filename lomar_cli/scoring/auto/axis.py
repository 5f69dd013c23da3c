"""A view on the direction in which updates differ most: a crowd on the far side of a gap.

Where all clients hold much the same labels, what many attackers do alike is the largest thing that
updates differ in, however little it is beside each client's own noise: it adds up on the first
principal component, and leaves a gap there between them and the others. Where labels are held
unevenly, clients with one major label stand apart in the same way, and nothing is said.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lomar_cli.scoring.auto.base import Seen, Sight, Vector
from lomar_cli.scoring.auto.forward import strictness
from lomar_cli.scoring.auto.products import Products
from lomar_cli.scoring.auto.unmix import rows_seen, unfit

# Labels are even where the major label of the median client takes no more than this share of what
# is beyond an even one: 0.15 to 0.23 in rounds of even labels, 0.22 to 0.27 at an imbalance of
# 0.1, and 0.32 to 0.44 at 0.2, where a label's clients begin to stand apart. What clients hold is
# read from numbers that masks take away, so that it is also asked how large each row is for itself:
# of its square 0.05 to 0.14, and 0.18 to 0.73 at 0.3.
_EVEN, _SQUARES = 0.25, 1.5
# Both in spreads within the two sides: between their means, and between the nearest of both. In
# unattacked rounds no more than three quarters of both together was seen.
_APART, _GAP = 3.5, 1.25
# A crowd is so many clients, and this share of them, but no majority. Several are found in turn.
_FEWEST, _LEAST, _MOST = 5, 0.05, 0.45
_CROWDS, _AXES, _FURTHER = 4, 3, 0.7
_TINY = 1e-300


class Cut(NamedTuple):
    """A crowd at one end of a line of numbers: ``many`` of them, on ``side`` (1 or -1) of ``at``.

    It is one where ``worth`` is above 1. ``middle`` is its mean, ``centre`` that of the others.
    """

    worth: float
    side: int
    many: int
    at: float
    middle: float
    centre: float

    def suspicion(self, along: Vector) -> Vector:
        """1 in the middle of the gap, 2 at the crowd's mean and 0 at that of the others."""
        beyond = self.side * (along - self.at)
        inside = max(self.side * (self.at - self.centre), _TINY)
        outside = max(self.side * (self.middle - self.at), _TINY)
        found: Vector = np.maximum(1 + beyond / np.where(beyond > 0, outside, inside), 0.0)
        return found


def axis(seen: Seen) -> Sight:
    """How far a client lies beyond a gap along one of the first three principal components."""
    count = seen.geometry.count
    # The views on labels say why they cannot judge; where labels are uneven that is nothing odd.
    nothing = Sight(np.full(count, np.nan), False)
    if unfit(seen.geometry.updates) is not None:
        return nothing
    rows = rows_seen(seen, np.ones(count, bool))
    squares = rows.rest + (rows.parts**2).sum(axis=2)
    uneven = unevenness(rows.claims, seen.trusted), unevenness(squares, seen.trusted)
    if max(uneven[0], _SQUARES * uneven[1]) > _EVEN:
        return nothing
    left = seen.trusted.copy()
    suspicion = np.zeros(count)
    words: dict[int, str] = {}
    for _ in range(_CROWDS):
        axes = Products(seen.geometry.squares, left).leading(left, _AXES).T
        cuts = [(cut(along[left], seen.false_alarm), along) for along in axes]
        able = [(found, along) for found, along in cuts if found is not None]
        if not able:
            break
        found, along = max(able, key=lambda one: one[0].worth)
        own = np.where(left, found.suspicion(along), 0.0)
        # Where there is one crowd, another one is no surprise.
        if found.worth <= (_FURTHER if words else 1.0) or left.sum() - found.many <= 0.5 * count:
            # What falls short still ranks.
            own = 0.99 * min(found.worth, 1.0) * np.minimum(own, 1.0)
            suspicion = np.maximum(suspicion, own)
            break
        crowd = own > 1
        suspicion[crowd] = own[crowd]
        left &= ~crowd
        for i in np.flatnonzero(crowd):
            words[int(i)] = (
                f"one of {found.many} clients apart from the others in what updates differ in most"
            )
    return Sight(suspicion, bool(words), words)


def unevenness(amounts: Vector, trusted: NDArray[np.bool_]) -> float:
    """How much of what clients have by label (n, R) is one label's, beyond an even share of all.

    Of the median one of ``trusted`` (n,): 0 for all labels alike, 1 for one label alone.
    """
    held = amounts[trusted]
    shares = held.max(axis=1) / np.maximum(held.sum(axis=1), _TINY)
    even = 1 / amounts.shape[1]
    return float((np.median(shares) - even) / (1 - even))


def cut(along: Vector, false_alarm: float) -> Cut | None:
    """The clearest crowd at either end of n numbers, None where there are too few of them."""
    count = len(along)
    many = np.arange(max(_FEWEST, int(np.ceil(_LEAST * count))), int(_MOST * count) + 1)
    if not len(many):
        return None
    # Small rounds have gaps by chance, as in ``forward.split``.
    least = strictness(false_alarm) * (1 + 10 / count)
    best = None
    for side in (1, -1):
        values = np.sort(side * along)[::-1]
        sums, squares = np.cumsum(values), np.cumsum(values**2)
        crowd, others = sums[many - 1] / many, (sums[-1] - sums[many - 1]) / (count - many)
        within = (squares[-1] - many * crowd**2 - (count - many) * others**2) / count
        spread = np.sqrt(np.maximum(within, _TINY))
        gaps = values[many - 1] - values[many]
        worth = np.minimum((crowd - others) / spread / _APART, gaps / spread / _GAP) / least
        place = int(worth.argmax())
        if best is None or worth[place] > best.worth:
            size = int(many[place])
            best = Cut(
                float(worth[place]),
                side,
                size,
                side * float(values[size - 1] + values[size]) / 2,
                side * float(crowd[place]),
                side * float(others[place]),
            )
    return best
