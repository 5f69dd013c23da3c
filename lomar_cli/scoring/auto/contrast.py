"""How sure it is that a client relabels class s as g: a z-score by client and pair.

The contrast ``A[g, s] - A[s, s]`` is at most 0 for an honest client, 0 where it holds no s, and
positive for who relabels s as g. Three things blur it: the noise of both rows, known from what
the common directions leave of them; classes that look alike, or were told apart wrongly because
of the flips themselves, which shows in proportion to what a client holds of other classes and is
fitted; and a client's one major class, whose own mean differs from the common one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]
# How far a client's mean of its major class may lie off the common one, as a share of what it
# holds of that class beyond twice an even share.
_OWN_MEAN = 0.4
# Spreads of noise beyond which a client clearly holds a class, and holds some of it at all.
_HOLDS, _SOME = 6.0, 2.0
_TINY = 1e-12
_FLOOR = 0.05
_NOISE_STEPS, _FIT_STEPS, _SWEEPS = 3, 5, 15
# What is left is cut at so many spreads, and asked for a common course with so many pairs at least.
_CUT, _LEAST_PAIRS = 3.0, 20
_LEAST_HOLDERS = 8
# So many pairs are fitted at once: enough to outweigh the cost of a call, few enough for their
# moments to stay in the cache (6 MB at 50 labels).
_AT_ONCE = 300


class Contrasts(NamedTuple):
    """Of every pair of compared labels, (n, g, s), each; NaN elsewhere and for g = s.

    ``z`` are near 0 for honest clients that hold no s, and ``below`` of others: so far below 0 do
    theirs lie at least.
    """

    z: Array
    below: Array


def contrasts(content: Array, rest: Array, trusted: Mask, compared: Mask) -> Contrasts:
    """The contrasts of every pair of ``compared`` labels (R,)."""
    count, labels, _ = content.shape
    held = np.maximum(np.einsum("nll->nl", content), 0.0)
    noise = rest + 1e-3 * float(np.median(rest)) + 1e-300
    unit = noise_units(content, held, noise, trusted)
    major = np.maximum(held - 2 * held.sum(axis=1, keepdims=True) / labels, 0.0)
    found = Contrasts(*(np.full((count, labels, labels), np.nan) for _ in range(2)))
    targets = np.flatnonzero(compared)
    if len(targets) < 2:
        return found
    fitted, products = held[trusted], _products(held[trusted])
    at_once = max(_AT_ONCE // (len(targets) - 1), 1)
    for start in range(0, len(targets), at_once):
        # (sources, 1) beside (sources, targets), of clients (n, sources, targets).
        s = targets[start : start + at_once, None]
        g = np.stack([targets[targets != one] for one in s])
        variance = unit[s] ** 2 * (noise[:, g] + noise[:, s])
        variance += _OWN_MEAN**2 * (major[:, g] ** 2 + major[:, s] ** 2)
        deviation = np.sqrt(variance) + _TINY
        spread = unit[s] * np.sqrt(noise[:, s])
        without = trusted[:, None] & (held[:, s[:, 0]] <= _HOLDS * spread[:, :, 0])
        enough = without.sum(axis=0) > 0.5 * trusted.sum()
        honest = np.where(enough, without, trusted[:, None])[trusted]
        y = (content[:, g, s] - content[:, s, s]) / deviation
        # Where most hold the source, how far below 0 that puts them would hide what others add. (By
        # A[s, s] = c (1 - 1/R) for c they lie c below, so that a share 1/R of it is left.)
        level = y + np.where(enough[:, None], 0.0, held[:, s]) / deviation
        known = _known(fitted, products, level[trusted], deviation[trusted], s[:, 0], honest)
        found.z[:, g, s] = y - np.tensordot(held, known, 1) / deviation
        found.below[:, g, s] = np.maximum(held[:, s] - _SOME * spread, 0.0) / deviation
    return found


def noise_units(content: Array, held: Array, noise: Array, trusted: Mask) -> Array:
    """A column's noise (R,), in units of a row's: what a robust fit on the held classes leaves."""
    _, units = _leavings(content, held, noise, trusted)
    found: Array = np.sqrt((units**2).mean(axis=0)) + _TINY
    return found


def left_over(content: Array, rest: Array, trusted: Mask) -> Array:
    """What labels leave of the contents of those ``trusted`` (n', R, R), in spreads, cut at three.

    See :func:`otherwise`.
    """
    held = np.maximum(np.einsum("nll->nl", content), 0.0)
    noise = rest + 1e-3 * float(np.median(rest)) + 1e-300
    left, units = _leavings(content, held, noise, trusted)
    found: Array = np.clip(left / np.maximum(units, _TINY), -_CUT, _CUT)
    return found


def otherwise(left: Array, compared: Mask) -> float:
    """How much of a common course what ``compared`` labels (R,) leave has, beside chance's.

    Noise has none: the first principal component then takes a share that the Marchenko-Pastur law
    tells, and 1 is that. Where clients differ in more than their labels (other cameras, other
    people), all that they leave moves with it, from label to label.
    """
    pairs = compared[:, None] & compared[None, :] & ~np.eye(len(compared), dtype=bool)
    if pairs.sum() < _LEAST_PAIRS:
        return 0.0
    x = left[:, pairs]
    x = x - np.median(x, axis=0)
    # Of the smaller of the two matrices of products, whose eigenvalues are the same.
    products = x @ x.T if len(x) <= x.shape[1] else x.T @ x
    largest = float(np.linalg.eigvalsh(products)[-1])
    chance = (1 + math.sqrt(x.shape[1] / len(x))) ** 2 / x.shape[1]
    return float(largest / (float(np.trace(products)) + _TINY) / chance)


def follows(content: Array, claims: Array, trusted: Mask, labels: Mask) -> float:
    """How well what ``trusted`` clients have of a label follows what they say.

    The larger of two, from the contents (n, R, R) and the claims (n, R) of ``labels`` (R,), both as
    they lie off the median of their label. Of each label the cosine over clients, and the median of
    these; and of each client the cosine over labels, as a minority may lie.
    """
    held, said = (
        _off_median(values[trusted][:, labels])
        for values in (np.einsum("nll->nl", content), claims)
    )
    medians = []
    for axis in (0, 1):
        lengths = np.sqrt((held**2).sum(axis=axis) * (said**2).sum(axis=axis))
        cosines = (held * said).sum(axis=axis) / np.maximum(lengths, 1e-300)
        medians.append(float(np.median(cosines)))
    return max(medians)


def _off_median(values: Array) -> Array:
    """How far values (n, R) lie off the median of their column, at one length of all columns."""
    off = values - np.median(values, axis=0)
    found: Array = off / np.maximum(np.sqrt((off**2).mean(axis=0)), 1e-300)
    return found


def told_apart(content: Array, claims: Array, trusted: Mask, faint: float) -> float:
    """How many times its own spread what holders have of a label is, in the best quarter of labels.

    From the contents (n, R, R) and what clients say (n, R).
    """
    ratios = []
    for label in range(content.shape[1]):
        said = claims[:, label]
        holders = trusted & (said > faint * claims.max(axis=1)) & (said > 0)
        if holders.sum() < _LEAST_HOLDERS:
            continue
        own, said = content[holders, label, label], said[holders]
        expected = float(np.median(own / said)) * said
        spread = 1.4826 * float(np.median(np.abs(own - expected))) + _TINY
        ratios.append(float(np.median(expected)) / spread)
    return float(np.quantile(ratios, 0.75)) if ratios else 0.0


def _leavings(content: Array, held: Array, noise: Array, trusted: Mask) -> tuple[Array, Array]:
    """What robust fits on the held classes leave of the contents of ``trusted``, in noise.

    (n', R, R), and its spread (R, R).
    """
    labels = content.shape[1]
    fitted, noise, content = held[trusted], noise[trusted], content[trusted]
    products = _products(fitted)
    units = np.zeros((labels, labels))
    leavings = np.zeros((len(fitted), labels, labels))
    for row in range(labels):
        # All columns of a row at once: (n', R), and (R, R, R) of each column's moments.
        root = np.sqrt(noise[:, [row]])
        y = content[:, row] / root
        weight = np.ones_like(y)
        for _ in range(_NOISE_STEPS):
            moments = ((weight / noise[:, [row]]).T @ products).reshape(labels, labels, labels)
            ridge = 1e-3 * np.trace(moments, axis1=1, axis2=2) / labels + _TINY
            moments += ridge[:, None, None] * np.eye(labels)
            right = (weight * y / root).T @ fitted
            left = y - fitted @ np.linalg.solve(moments, right[:, :, None])[:, :, 0].T / root
            spread = 1.4826 * np.median(np.abs(left), axis=0) + _TINY
            weight = 1 / np.maximum(np.abs(left) / spread, _FLOOR)
        units[row] = spread
        leavings[:, row] = left
    return leavings, units


def _products(held: Array) -> Array:
    """Of what each client holds of two labels, (n, R * R): moments are weighted sums of these."""
    count, labels = held.shape
    found: Array = np.einsum("ni,nj->nij", held, held).reshape(count, labels**2)
    return found


def _known(
    held: Array, products: Array, y: Array, deviation: Array, sources: Ints, honest: Mask
) -> Array:
    """What a class that honest clients hold adds to each pair's contrast, (R, sources, targets).

    A least absolute deviations fit of ``y`` (n', sources, targets) by reweighting over those who
    are ``honest`` (n', sources), coefficients from 0 up: classes that are held can excuse a
    contrast, not make one. The source itself is not among them.
    """
    count, labels = held.shape
    among = np.arange(len(sources))
    weight = np.ones_like(y)
    for _ in range(_FIT_STEPS):
        weight *= honest[:, :, None]
        weighted = (weight / deviation**2).reshape(count, -1)
        moments = (products.T @ weighted).reshape(labels, labels, *y.shape[1:])
        right = (held.T @ (weight * y / deviation).reshape(count, -1)).reshape(-1, *y.shape[1:])
        moments[sources, :, among] = moments[:, sources, among] = 0.0
        right[sources, among] = 0.0
        known = _from_zero(moments.reshape(labels, labels, -1), right.reshape(labels, -1))
        known = known.reshape(labels, *y.shape[1:])
        left = np.abs(y - np.tensordot(held, known, 1) / deviation)
        spread = [np.median(left[honest[:, one], one], axis=0) for one in among]
        weight = 1 / np.maximum(left / (1.4826 * np.stack(spread) + _TINY), _FLOOR)
    return known


def _from_zero(moments: Array, right: Array) -> Array:
    """Least squares with coefficients from 0 up (R, pairs), by coordinate descent."""
    found = np.zeros_like(right)
    at, x = np.arange(right.shape[1]), found
    for _ in range(_SWEEPS):
        before = x.copy()
        for one, row in enumerate(moments):
            step = right[one] - np.einsum("lp,lp->p", row, x)
            np.maximum(0.0, x[one] + step / (row[one] + _TINY), out=x[one])
        found[:, at] = x
        # Where a sweep moves nothing no other will, and in most pairs none does after the first.
        moved = (x != before).any(axis=0)
        if not moved.any():
            break
        if moved.sum() < len(at) / 2:
            at, x, right, moments = at[moved], x[:, moved], right[:, moved], moments[..., moved]
    return found
