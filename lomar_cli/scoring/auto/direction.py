"""Two views on where an update points: against the round.

Both are judged on both sides of 0, so that a round whose clients pull in many directions has a
wide spread and flags nobody; and only who points against the round's median can be flagged.
"""

from __future__ import annotations

import numpy as np

from lomar_cli.scoring.auto.base import Seen, Sight, Vector, cannot
from lomar_cli.scoring.auto.forward import split

_CONSTANTS = (5.0, 1.0)


def direction(seen: Seen) -> Sight:
    """``-cos(u, median)``."""
    course = seen.geometry.course
    inner, length = course.inner, course.median_length
    whole = course.lengths * length
    return _judged(seen, -inner / np.where(whole > 0, whole, 1.0), length)


def projection(seen: Seen) -> Sight:
    """``-<u, median> / |median|^2``: with its length."""
    inner, length = seen.geometry.course.inner, seen.geometry.course.median_length
    return _judged(seen, -inner / (length * length if length > 0 else 1.0), length)


def _judged(seen: Seen, values: Vector, length: float) -> Sight:
    if length <= 0 or not np.isfinite(values).all():
        return cannot(len(values), "the median update is zero: nothing points against it")
    found = split(values, *_CONSTANTS, seen.false_alarm)
    # Not against the round, or as many against it as half of the core: no direction to speak of.
    against = values > 0
    suspicion = np.where(against, found.suspicion, np.minimum(found.suspicion, 0.99))
    flagged = np.flatnonzero(suspicion > 1)
    words = {int(i): "points against the round's median update" for i in flagged}
    return Sight(suspicion, len(flagged) > 0, words, apart=found.suspicion > 1)
