"""Whether clients' biases are those of their own rows.

A step of cross-entropy moves the bias of label r by the sum over samples of ``1[y = r] - p_r(x)``,
and its row of weights by the sum of the same times x, what enters the layer. So where a direction q
has ``q . x = 1`` on average for the samples of every class, each row's part along q is its bias,
whatever labels a client holds and whatever it calls them. One regression over all rows of all
clients gives q.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
_STEPS, _RIDGE, _LEAST_OFF, _BRIGHTER = 10, 1e-6, 0.05, 4.0
_TINY = 1e-300
# No bias is known more exactly than to so much of the median one's length; the share of one that is
# smaller than so much of that is taken of that.
_EXACT, _SMALL = 1e-3, 0.1
# How far off a bias must lie: in spreads of the honest ones, and as a share of itself.
_SPREADS, _SHARE = 6.0, 0.25
# Where a bias that is off by no more than this share of itself may go unseen, lies are told still.
_UNSEEN = 0.75


@dataclass(frozen=True)
class Word:
    """How far clients' biases lie off what their rows say (``read_word``).

    ``off`` (n,) in units of the median client's, ``share`` (n,) of the bias's own length.
    """

    off: Array
    share: Array

    @property
    def suspicion(self) -> Array:
        """1 is where a bias is too far off (n,)."""
        found: Array = np.minimum(self.off / _SPREADS, self.share / _SHARE)
        return found

    @property
    def tells(self) -> bool:
        """Whether a bias of other labels would be seen: it is off by its own length and more."""
        return float(np.median(self.share)) * _SPREADS <= _UNSEEN


def read_word(weights: Array, bias: Array, trusted: Mask) -> Word | None:
    """Biases (n, R) beside what rows of weights say, from the rows' coordinates (n, R, K).

    One direction for all rows and clients, by least absolute deviations of whole clients among the
    ``trusted``, of whom more than half are taken to have the biases of their rows; what a client
    says may be times a factor of its own, for samples that are all larger than others'. Longer
    updates than usual are off by more. None where most send no bias.
    """
    sizes = np.linalg.norm(bias, axis=1)
    median = float(np.median(sizes[trusted])) if trusted.any() else 0.0
    if median == 0:
        return None
    size = weights.shape[2]
    vote = trusted.astype(np.float64)
    for _ in range(_STEPS):
        weighted = (weights * vote[:, None, None]).reshape(-1, size)
        moments = weighted.T @ weights.reshape(-1, size)
        moments += (_RIDGE * np.trace(moments) / size + _TINY) * np.eye(size)
        along = np.linalg.solve(moments, weighted.T @ bias.reshape(-1))
        said = weights @ along
        own = (said * bias).sum(axis=1) / np.maximum((said**2).sum(axis=1), _TINY)
        own = np.clip(own, 1 / _BRIGHTER, _BRIGHTER)
        off: Array = np.linalg.norm(bias - own[:, None] * said, axis=1)
        usual = max(float(np.median(off[trusted])), _EXACT * median)
        vote = trusted / np.maximum(off / usual, _LEAST_OFF)
    lengths = np.sqrt((weights**2).sum(axis=(1, 2)))
    longer = np.maximum(lengths / max(float(np.median(lengths[trusted])), _TINY), 1.0)
    share: Array = off / np.maximum(sizes, _SMALL * median)
    return Word(off / usual / longer, share)
