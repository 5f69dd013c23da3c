"""A view on signs: shares of zero and of positive parameters unlike the others'.

What is made up rather than trained seldom has the zeros of features that are never seen, and its
signs are those of whatever it was made from. The shares are SignGuard's (Xu et al. 2022), judged
by a threshold of our own.
"""

from __future__ import annotations

import numpy as np

from lomar_cli.scoring.auto.base import Seen, Sight, Vector, cannot
from lomar_cli.scoring.auto.forward import ranked, split

_CONSTANTS = (6.0, 1.5)
# Who differs by less than these shares of the parameters is not suspect. Zeros come and go by
# whole units of a hidden layer, which some clients' samples wake and others' do not.
_LEAST_ZEROS, _LEAST_POSITIVES = 0.02, 0.002
# Where clients send a few parameters alone (less than this share, and so many), shares say little.
_SPARSE, _FEWEST = 0.2, 200


def signs(seen: Seen) -> Sight:
    """How far the share of zeros lies below the round's middle, or that of positives off it.

    Positives among what is not zero.
    """
    course = seen.geometry.course
    moved = 1 - course.zeros
    positives = course.positives / np.where(moved > 0, moved, 1.0)
    count = len(moved)
    suspicion = np.zeros(count)
    words: dict[int, str] = {}
    judged = False
    usual = float(np.median(moved))
    if usual < _SPARSE and usual * seen.geometry.updates.size < _FEWEST:
        positives = np.zeros(count)
    for shares, least, name in (
        (course.zeros, _LEAST_ZEROS, "zero"),
        (positives, _LEAST_POSITIVES, "positive"),
    ):
        values = _off(shares)
        if float(values.max()) < least:
            continue
        judged = True
        found = split(values, *_CONSTANTS, seen.false_alarm, least / _CONSTANTS[0])
        fine = values < least
        if name == "zero":
            # More of them than others have is what few samples leave, or cleaner ones.
            fine |= shares > np.median(shares)
        beyond = np.where(fine, np.minimum(found.suspicion, 0.99), found.suspicion)
        flagged = np.flatnonzero(beyond > 1)
        for i in flagged:
            usual = float(np.median(shares))
            words.setdefault(
                int(i), f"{shares[i]:.1%} of its parameters are {name}, usual are {usual:.1%}"
            )
        suspicion = np.fmax(suspicion, beyond if len(flagged) else 0.5 * beyond)
    if not judged:
        return cannot(count, "signs are shared alike by all clients")
    found_any = bool((suspicion > 1).any())
    return Sight(suspicion if found_any else ranked(suspicion), found_any, words)


def _off(shares: Vector) -> Vector:
    off: Vector = np.abs(shares - np.median(shares))
    return off
