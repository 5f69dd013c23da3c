"""A person's own data as NumPy arrays: ``lomar partition npz --data-file FILE.npz``.

The file holds ``x_train``, ``y_train``, ``x_test`` and ``y_test``, or ``x`` and ``y``; of the
latter every fifth sample of each label is a test sample. ``x`` has a row a sample. Pictures are
(n, height, width), (n, channels, height, width) or (n, height, width, channels) with 1 or 3
channels; the models for pictures and the backdoor know them then. Bytes (uint8) are scaled by
1 / 255, everything else is taken as it is: scale it yourself, features around 0 to 1 train best.
``y`` holds whole numbers or text; the labels are the different values, in order. ``group_train``
(or ``group`` beside ``x`` and ``y``), numbers or text too, says who each sample comes from, for
``--scheme natural``.

Arrays of Python objects are never loaded, and no array is made before its size is checked.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.data.dataset import Dataset
from lomar_cli.data.reading import check_names, test_part
from lomar_cli.errors import InputError
from lomar_cli.files.arrays import read_arrays
from lomar_cli.files.text import printable

CHANNELS = (1, 3)
MAX_LABELS = 10_000
_MAX_BYTES = 8 * 2**30
_PARTS = ("x_train", "y_train", "x_test", "y_test")


def load(path: Path) -> Dataset:
    """Read the file; see the head of this module for what it may hold."""
    where = printable(str(path))
    arrays = read_arrays(path, _MAX_BYTES, kinds="biufSU")
    if all(name in arrays for name in _PARTS):
        x_train, y_train, x_test, y_test = (arrays[name] for name in _PARTS)
        whose = arrays.get("group_train")
    elif "x" in arrays and "y" in arrays and not set(_PARTS) & set(arrays):
        x_train, y_train, whose = arrays["x"], arrays["y"], arrays.get("group")
        x_test, y_test = x_train[:0], y_train[:0]
    else:
        held = ", ".join(printable(name, 20) for name in sorted(arrays)[:6]) or "nothing"
        raise InputError(f"{where}: needs {', '.join(_PARTS)}, or x and y; it holds {held}")
    for name, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        if y.ndim != 1 or x.ndim < 2 or len(x) != len(y):
            raise InputError(
                f"{where}: {name}: x {x.shape} must have a row for each entry of y {y.shape}"
            )
    if x_train.shape[1:] != x_test.shape[1:] or x_train.dtype != x_test.dtype:
        raise InputError(f"{where}: x_train and x_test differ in shape or type")
    if not len(x_train) or 0 in x_train.shape or ("x_test" in arrays and not len(x_test)):
        raise InputError(f"{where}: holds no samples")
    labels, codes = encode(np.concatenate([y_train, y_test]), where)
    y_train, y_test = codes[: len(y_train)], codes[len(y_train) :]
    x_train, shape = flat(x_train, where)
    x_test, _ = flat(x_test, where)
    groups = _groups(whose, len(y_train), where)
    if "x_test" not in arrays:
        chosen = test_part(y_train)
        x_test, y_test = x_train[chosen], y_train[chosen]
        x_train, y_train = x_train[~chosen], y_train[~chosen]
        groups = groups if groups is None else groups[~chosen]
    missing = np.setdiff1d(np.arange(len(labels)), y_train)
    if len(missing):
        raise InputError(f"{where}: no training sample has the label '{labels[missing[0]]}'")
    scale = 1 / 255 if x_train.dtype == np.uint8 else 1.0
    return Dataset("npz", x_train, y_train, x_test, y_test, labels, scale, shape, groups)


def _groups(whose: NDArray[Any] | None, samples: int, where: str) -> NDArray[np.int64] | None:
    if whose is None:
        return None
    if whose.shape != (samples,) or whose.dtype.kind not in "iuSU":
        raise InputError(
            f"{where}: group {whose.shape}, {whose.dtype}: must be a whole number or text for each "
            f"of the {samples} samples"
        )
    return np.unique(whose, return_inverse=True)[1].reshape(-1).astype(np.int64)


def encode(y: NDArray[Any], where: str) -> tuple[list[str], NDArray[np.int64]]:
    """Label names, in order, and the number of each entry's label."""
    if y.dtype.kind == "S":
        try:
            y = np.char.decode(y, "utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{where}: y holds text that is not UTF-8") from None
    if y.dtype.kind not in "iuU":
        raise InputError(f"{where}: y has type {y.dtype}; whole numbers or text are needed")
    values, codes = np.unique(y, return_inverse=True)
    if len(values) > MAX_LABELS:
        raise InputError(
            f"{where}: y holds {len(values):,} different labels; is it the right column?"
        )
    labels = [str(value) for value in values]
    check_names(labels, where)
    return labels, codes.reshape(-1).astype(np.int64)


def flat(x: NDArray[Any], where: str) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Samples as rows of bytes or float32, and the shape of one if it is a picture."""
    if x.dtype.kind not in "biuf" or x.dtype.itemsize > 8:
        raise InputError(f"{where}: x has type {x.dtype}; numbers are needed")
    shape: tuple[int, ...] = ()
    if x.ndim == 3:
        shape = (1, *x.shape[1:])
    elif x.ndim == 4 and x.shape[1] in CHANNELS:
        shape = x.shape[1:]
    elif x.ndim == 4 and x.shape[3] in CHANNELS:
        x = x.transpose(0, 3, 1, 2)
        shape = x.shape[1:]
    rows = x.reshape(len(x), math.prod(x.shape[1:]))
    if rows.dtype != np.uint8:
        with np.errstate(over="ignore"):
            rows = rows.astype(np.float32)
        if not np.isfinite(rows).all():
            raise InputError(f"{where}: x holds NaN, infinity, or numbers beyond float32")
    return np.ascontiguousarray(rows), shape
