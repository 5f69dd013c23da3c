"""What a data set is to every other part of the program."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """A labelled data set with a training and a test part.

    ``x_*`` are (samples, features), uint8 or float32; the feature values meant are
    ``x * scale``. ``y_*`` are label numbers into ``labels``. ``shape`` is that of one sample as a
    picture (channels, height, width), or () when it is none. ``groups`` (training samples,) says
    who each comes from, by number, where a data set knows.
    """

    name: str
    x_train: NDArray[Any]
    y_train: Ints
    x_test: NDArray[Any]
    y_test: Ints
    labels: Sequence[str]
    scale: float = 1.0
    shape: tuple[int, ...] = ()
    groups: Ints | None = None

    @cached_property
    def sha256(self) -> str:
        """Checksum over all samples and labels; a split is tied to it."""
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            digest.update(struct.pack(f"<{little.ndim}q", *little.shape))
            digest.update(little.dtype.str.encode())
            digest.update(little.data)
        digest.update("\0".join(self.labels).encode())
        return digest.hexdigest()

    def features(self, rows: Ints, test: bool = False) -> NDArray[np.float32]:
        """The scaled float32 features of some samples."""
        return self.scaled((self.x_test if test else self.x_train)[rows])

    def scaled(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Rows of this data set as a model takes them."""
        return x.astype(np.float32) * np.float32(self.scale)
