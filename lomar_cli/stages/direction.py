"""Do client files hold what was said: trained parameters, or differences?

Trained parameters of one round are nearly the model that they start from, so they lie close
together and far from zero; differences lie close to zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# How many clients and numbers of each are looked at, and what is taken for a contradiction.
_CLIENTS = 64
_NUMBERS = 2**14
_ALIKE = 0.1
_WHAT = {"differences": "updates", "gradients": "gradients"}
_AWAY = 0.5


class Direction:
    """Collects a sample of each client's numbers as they pass by, and of the base model's."""

    def __init__(self, base: Mapping[str, NDArray[Any]] | None, gradients: bool = False) -> None:
        self._base = None if base is None else _sample(base)
        self._said = "gradients" if gradients else "differences"
        self._seen: list[NDArray[np.float64]] = []

    def add(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """One client's arrays, as its file has them."""
        if len(self._seen) < _CLIENTS:
            self._seen.append(_sample(arrays))

    def warning(self) -> str | None:
        """A sentence with the figures when the numbers speak against what was said."""
        seen = [one for one in self._seen if np.isfinite(one).all() and one.any()]
        # What is absurdly large has an infinite length, which contradicts nothing.
        with np.errstate(over="ignore", invalid="ignore"):
            if self._base is not None:
                return _against_parameters(self._base, seen)
            return _against_differences(seen, self._said)


def _against_parameters(base: NDArray[np.float64], seen: list[NDArray[np.float64]]) -> str | None:
    away = [_length(one - base) for one in seen]
    lengths = [_length(one) for one in seen]
    if not seen or not base.any():
        return None
    length, distance = float(np.median(lengths)), float(np.median(away))
    if length >= _AWAY * distance:
        return None
    return (
        f"--base-model says that the files hold trained parameters, but they look like differences:"
        f" their median length is {length:.3g}, their median distance to the base model "
        f"{distance:.3g}; if so, say --differences (or --gradients)"
    )


def _against_differences(seen: list[NDArray[np.float64]], said: str) -> str | None:
    if len(seen) < 2:
        return None
    apart = [
        _length(one - other)
        for place, one in enumerate(seen)
        for other in seen[max(0, place - 8) : place]
    ]
    length, distance = float(np.median([_length(one) for one in seen])), np.median(apart)
    # Files that are the same number by number are no sign of anything.
    if not 0 < distance < _ALIKE * length:
        return None
    return (
        f"--{said} says that the files hold {_WHAT[said]}, but they look like trained parameters: "
        f"two of them differ by {distance:.3g} (median), their median length is {length:.3g}; if "
        "so, give the model that they start from with --base-model"
    )


def _length(values: NDArray[np.float64]) -> float:
    # Not by BLAS, whose threads cost more than so few numbers are worth.
    return float(np.sqrt(np.square(values).sum()))


def _sample(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Evenly spaced numbers of each array, at most ``_NUMBERS`` altogether or one an array."""
    total = sum(array.size for array in arrays.values())
    step = max(1, total // _NUMBERS)
    with np.errstate(all="ignore"):
        return np.concatenate(
            [array.reshape(-1)[::step].astype(np.float64) for array in arrays.values()]
        )
