"""A view on parameters that most clients leave alone: who moves all of these did not train.

Features that a client's samples never show get no gradient, so that its update is exactly zero
there. What is made from others' updates (their mean, their spread, noise) is not. Such parameters
are told by the clients themselves: at each of them more than half hold the very same number.
"""

from __future__ import annotations

import numpy as np

from lomar_cli.scoring.auto.base import Seen, Sight, cannot
from lomar_cli.scoring.auto.forward import ranked, split

_CONSTANTS = (6.0, 1.5)
# With a smaller share of such parameters in the model nothing is said.
_LEAST_QUIET = 0.02
# A client is not suspect for fewer than so many of them more than usual.
_LEAST = 0.1


def quiet(seen: Seen) -> Sight:
    """The share of the quiet parameters that a client moves."""
    course = seen.geometry.course
    count = len(course.stirred)
    if course.quiet < _LEAST_QUIET:
        return cannot(count, "there are no parameters that most clients leave alone")
    values = course.stirred
    if values.max() == 0:
        return cannot(count, "nobody moves the parameters that most clients leave alone")
    found = split(values, *_CONSTANTS, seen.false_alarm)
    usual = float(np.median(values))
    flagged = (found.suspicion > 1) & (values > usual + _LEAST)
    suspicion = np.where(flagged, found.suspicion, np.minimum(found.suspicion, 0.99))
    words = {
        int(i): f"moves {values[i]:.0%} of the parameters that most leave alone, usual are "
        f"{usual:.0%}"
        for i in np.flatnonzero(flagged)
    }
    found_any = bool(flagged.any())
    return Sight(suspicion if found_any else ranked(suspicion), found_any, words)
