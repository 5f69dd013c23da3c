"""Rounds whose numbers are so large, or so small, that squares leave the range of their type."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.updates import Tensor, Updates

# By bytes of the type: values whose squares, summed over many parameters, overflow, and values
# whose squares (of what two clients differ in, a thousandth of them, say) come to nothing.
LARGE = {4: 1e14, 8: 1e140}
SMALL = {4: 1e-14, 8: 1e-140}


def is_beyond(largest: NDArray[np.float64], dtype: np.dtype[Any]) -> bool:
    """True if clients with these largest values (n,) cannot be compared in ``dtype``."""
    size = dtype.itemsize
    return bool(largest.max() > LARGE[size] or 0 < np.median(largest) < SMALL[size])


def widened(updates: Updates) -> Updates:
    """The same updates, read as float64."""
    return replace(updates, tensors={name: _Wide(t) for name, t in updates.tensors.items()})


class _Wide:
    """A tensor read as float64."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor
        self.shape = tensor.shape
        self.dtype = np.dtype(np.float64)

    def __getitem__(self, key: Any) -> Any:
        return np.asarray(self._tensor[key]).astype(np.float64)
