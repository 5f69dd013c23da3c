"""Kernel densities over neighbourhoods, in logarithms (sec. 3.2, eqs. 5-7).

Only logarithms survive real sizes: a density falls below the smallest float64 at a few hundred
bandwidths, while its logarithm is an ordinary number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import UsageError
from lomar_cli.scoring.approximate import Listed
from lomar_cli.scoring.nearest import Neighbourhoods

Floats = NDArray[np.floating[Any]]
Vector = NDArray[np.float64]

_LOG_ROOT_TWO_PI = 0.5 * float(np.log(2 * np.pi))
# exp() of a range this wide neither underflows nor loses a term that matters in float64.
_SAFE_RANGE = 600.0
# Beyond the first, float32 exponents lose their fourth decimal; beyond the second, float64 ends.
_NARROW_EXPONENT = 1e3
_LARGEST_EXPONENT = 1e290


def _laplace(squares: Floats, bandwidth: float, furthest: float) -> Floats:
    wide = _wide_enough(np.sqrt(squares), 0.5 * math.sqrt(furthest) / bandwidth)
    exponents: Floats = wide * wide.dtype.type(-0.5 / bandwidth)
    return exponents


def _gaussian(squares: Floats, bandwidth: float, furthest: float) -> Floats:
    wide = _wide_enough(squares, 0.5 * furthest / bandwidth / bandwidth)
    exponents: Floats = wide * wide.dtype.type(-0.5 / bandwidth / bandwidth)
    return exponents


def _wide_enough(values: Floats, exponent: float) -> Floats:
    """``values`` in a type in which exponents of this size keep their digits."""
    if not exponent < _LARGEST_EXPONENT:
        raise UsageError(
            "--bandwidth: is so small beside the distances of this round that a kernel's "
            "logarithm overflows; use a larger one, such as 0.1x"
        )
    return values if exponent < _NARROW_EXPONENT else values.astype(np.float64)


# The exponent of each kernel as a function of squared distance, h, and the largest square of all:
# "laplace" is eq. 6 as printed, exp(-|d| / 2h); "gaussian" is the textbook's, exp(-|d|^2 / 2h^2).
KERNELS: dict[str, Callable[[Floats, float, float], Floats]] = {
    "laplace": _laplace,
    "gaussian": _gaussian,
}


def log_density(
    squares: Floats, near: Neighbourhoods | Listed, bandwidth: float, kernel: str
) -> Vector:
    """``log q(i)``: the log of the mean kernel over i's neighbours (eqs. 5, 6), shape (n,).

    ``squares`` (pairs,) are the squared distances in one label block, as ``near.pick`` gives them.
    """
    furthest = float(squares.max())
    logs: Vector = np.empty(len(near.counts))
    # Some clients at a time: of a large round, temporary copies of all pairs take gigabytes.
    for rows in near.row_blocks():
        counts, starts = near.counts[rows], near.starts[rows]
        first, last = int(starts[0]), int(starts[-1] + counts[-1])
        exponents = KERNELS[kernel](squares[first:last], bandwidth, furthest)
        highest = np.maximum.reduceat(exponents, starts - first)
        exponents -= np.repeat(highest, counts)
        np.exp(exponents, out=exponents)
        total = np.add.reduceat(exponents, starts - first, dtype=np.float64)
        logs[rows] = highest.astype(np.float64) + np.log(total / counts)
    logs -= _LOG_ROOT_TWO_PI + float(np.log(bandwidth))
    return logs


def log_neighbour_mean(log_q: Vector, near: Neighbourhoods | Listed) -> Vector:
    """``log of the mean of q(j) over i's neighbours j`` (eq. 7's numerator over k).

    ``log_q`` is (n, R) or (n,); so is the result.
    """
    two = log_q.reshape(len(log_q), -1)
    counts = near.counts[:, None]
    highest = two.max(axis=0)
    if float((highest - two.min(axis=0)).max()) <= _SAFE_RANGE:
        result = np.log(near.sums(np.exp(two - highest)) / counts) + highest
    else:
        result = np.empty_like(two)
        for label in range(two.shape[1]):
            terms = near.of_neighbours(two[:, label])
            top = np.maximum.reduceat(terms, near.starts)
            sums = np.add.reduceat(np.exp(terms - np.repeat(top, near.counts)), near.starts)
            result[:, label] = top + np.log(sums / counts[:, 0])
    shaped: Vector = result.reshape(log_q.shape)
    return shaped
