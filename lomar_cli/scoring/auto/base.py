"""What a view is: a round in, one suspicion a client out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.scoring.geometry import Geometry

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """What a view may look at.

    ``geometry`` is that of n clients, of which near-copies appear once, but for views that look at
    each client by itself (``ViewEntry.each``). ``trusted`` (n,) marks
    those that no earlier view has flagged; ``false_alarm`` is the share of clean clients that may
    be removed. ``close`` says that most clients of the round are near-copies of others, so that
    being close is no sign. ``shared`` holds, by name, what one view worked out for the next.
    """

    geometry: Geometry
    trusted: NDArray[np.bool_]
    false_alarm: float
    close: bool = False
    shared: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sight:
    """What a view says.

    ``suspicion`` (n,): 1 is the threshold, above it a client is flagged; NaN where the view could
    not judge. ``words`` holds a sentence by client, ``notes`` are about the whole round. With
    ``found`` False nobody is flagged, and what is below 1 is a ranking at best.
    """

    suspicion: Vector
    found: bool
    words: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    apart: NDArray[np.bool_] | None = None

    @property
    def seconded(self) -> NDArray[np.bool_]:
        """Of which clients the view bears out what another says of them."""
        flagged: NDArray[np.bool_] = self.suspicion > 1
        return flagged if self.apart is None else flagged | self.apart

    def of(self, rows: NDArray[np.intp]) -> Sight:
        """The same of some clients, or of one client several times, as ``rows`` (m,) have them."""
        words = {i: self.words[int(row)] for i, row in enumerate(rows) if int(row) in self.words}
        apart = None if self.apart is None else self.apart[rows]
        return replace(self, suspicion=self.suspicion[rows], words=words, apart=apart)


View = Callable[[Seen], Sight]


def cannot(count: int, why: str) -> Sight:
    """A view that cannot judge this round."""
    return Sight(np.full(count, np.nan), False, notes=[why])
