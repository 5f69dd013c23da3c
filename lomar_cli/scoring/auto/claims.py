"""How much of each label a client says it has, by its output layer's update.

Row r moves with the number of samples that are called r: by the bias in proportion to it, and along
a direction of its own, the mean of what is called r. A round may hold gradients, which a step takes
away, instead of updates, which it adds: all signs are then the other way round, and nothing of
second order shows it. Of third order two things do: every row's mean lies on the side of its
samples, and where labels are uneven few clients hold much of one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
# Of gradients, so few clients' rows have their means on the right side, and no more hold uneven
# amounts of the right sign.
_FEW, _MOST = 1 / 4, 4 / 5
# Shares of a client's most: rows that nobody says the amounts of give them less exactly.
_FAINT, _FAINT_UNSAID = 0.03, 0.2
# What the side of a direction weighs, against a correlation of amounts.
_SIDE = 0.5
_SAID = (
    "the rows of labels point away from what clients hold of these, as gradients do, and are read "
    "the other way round: if they are gradients, say so (lomar dump --gradients, gradients=True in "
    "Python), as aggregate adds what a round holds; if that was said, they are updates"
)


class Claims(NamedTuple):
    """``amounts`` (n, R) from 0; below which share of its most a client holds nothing of a label;
    and what there is to say of how they were read.
    """

    amounts: Array
    faint: float
    notes: list[str]


def claims(parts: Array, bias: Array | None, trusted: Mask) -> Claims:
    """What clients say they hold, from their rows' coordinates (n, R, K) and biases (n, R).

    Up to a common amount that is its bias update, or without one the part of each row along its own
    direction among the ``trusted`` (n,). The amount is what a row of median length stands for: with
    even labels all rows are pushed up alike, which the bias, whose rows sum to zero, does not show.
    """
    lengths = np.linalg.norm(parts, axis=2)
    trusted = trusted if trusted.sum() > 1 else np.ones(len(parts), dtype=bool)
    notes: list[str] = []
    if bias is None:
        along = _along(parts, trusted, None)
        # A vote a client: one with a large row must not turn everybody's claims round.
        votes = np.sign((along[trusted] ** 3).sum(axis=1)).sum()
        word = along * (1.0 if votes >= 0 else -1.0)
        unit = 1.0
    else:
        word = bias
        if _backwards(_along(parts, trusted, bias)[trusted]):
            word, notes = -bias, [_SAID]
        whole = np.linalg.norm(lengths, axis=1)
        ratio = np.linalg.norm(word, axis=1)[whole > 0] / whole[whole > 0]
        unit = float(np.median(ratio)) if len(ratio) else 0.0
    amounts: Array = np.maximum(word + unit * np.median(lengths, axis=1)[:, None], 0.0)
    return Claims(amounts, _FAINT if bias is not None else _FAINT_UNSAID, notes)


def _along(parts: Array, trusted: Mask, bias: Array | None) -> Array:
    """Each row's part (n, R) along the direction in which the trusted clients' rows r differ most.

    The directions point to where the bias rises for most clients, or without one to where they and
    the amounts agree.
    """
    moved = parts[trusted] - np.median(parts[trusted], axis=0)
    by_row = moved.transpose(1, 0, 2)
    _, vectors = np.linalg.eigh(by_row.transpose(0, 2, 1) @ by_row)
    own = vectors[:, :, -1]
    amounts = np.einsum("nrk,rk->nr", moved, own)
    if bias is None:
        up = _agreed(own, amounts)
    else:
        # A vote a client: few with large rows do not decide where the others' point.
        rises = bias[trusted] - np.median(bias[trusted], axis=0)
        up = np.sign(amounts * rises).sum(axis=0)
    along: Array = np.einsum("nrk,rk->nr", parts, own * np.where(up < 0, -1.0, 1.0)[:, None])
    return along


def _agreed(own: Array, amounts: Array) -> Array:
    """Signs (R,) of directions (R, K), all of them or none to be turned round, by what they share.

    Samples of all labels have a mean in common, so directions lie on one side of each other; and
    who holds more of one label holds less of others, so their amounts (n, R) add up to little.
    """
    spread = np.sqrt((amounts**2).mean(axis=0))
    alike = np.divide(amounts, spread, out=np.zeros_like(amounts), where=spread > 0)
    against = alike.T @ alike / len(alike) - _SIDE * own @ own.T
    np.fill_diagonal(against, 0.0)
    _, vectors = np.linalg.eigh(against)
    signs: Array = vectors[:, 0]
    return signs


def _backwards(along: Array) -> bool:
    """Whether the rows are gradients', from their parts (n, R) along where the bias rises.

    Uneven amounts may say no: where labels are uneven, a step that was much too long turns the
    means round, and not these.
    """
    means = (along**3).sum(axis=1)
    uneven = ((along - np.median(along, axis=0)) ** 3).sum(axis=1)
    return bool((means < 0).mean() >= 1 - _FEW and (uneven > 0).mean() < _MOST)
