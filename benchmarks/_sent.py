"""Updates as they arrive where clients do not send all of them, or not exactly.

``top=SHARE`` each client sends its largest parameters, ``same=SHARE`` all send the same ones at
random, ``own=SHARE`` each others at random (made up for those left out); ``levels=N`` each tensor
is rounded at random, without bias, to N levels between minus and plus its largest value;
``signs`` alone are sent, with the mean size; ``noise=RATIO`` updates are cut to the median length
and Gaussian noise of RATIO times that length is added, as for differential privacy; ``lengths=SD``
each is times a log-normal factor of its own, as after other numbers of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.updates import Updates
from lomar_cli.stages.defender import flatten, unflatten

Array = NDArray[np.float64]
# Updates (n, d), the sizes of their tensors, how much, and where chance comes from.
Way = Callable[[Array, Sequence[int], float, np.random.Generator], Array]


def top(rows: Array, sizes: Sequence[int], share: float, rng: np.random.Generator) -> Array:
    many = max(1, int(share * rows.shape[1]))
    kept = np.zeros(rows.shape, dtype=bool)
    largest = np.argpartition(np.abs(rows), -many, axis=1)[:, -many:]
    np.put_along_axis(kept, largest, True, axis=1)
    return np.where(kept, rows, 0.0)


def same(rows: Array, sizes: Sequence[int], share: float, rng: np.random.Generator) -> Array:
    return np.where(rng.random(rows.shape[1]) < share, rows, 0.0)


def own(rows: Array, sizes: Sequence[int], share: float, rng: np.random.Generator) -> Array:
    return np.where(rng.random(rows.shape) < share, rows / share, 0.0)


def levels(rows: Array, sizes: Sequence[int], count: float, rng: np.random.Generator) -> Array:
    parts = []
    for part in np.split(rows, np.cumsum(sizes)[:-1], axis=1):
        step = 2 * np.abs(part).max(axis=1, keepdims=True) / (count - 1)
        steps = np.divide(part, step, out=np.zeros_like(part), where=step > 0)
        parts.append(np.floor(steps + rng.random(part.shape)) * step)
    return np.concatenate(parts, axis=1)


def signs(rows: Array, sizes: Sequence[int], value: float, rng: np.random.Generator) -> Array:
    return np.sign(rows) * np.abs(rows).mean(axis=1, keepdims=True)


def noise(rows: Array, sizes: Sequence[int], ratio: float, rng: np.random.Generator) -> Array:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    most = float(np.median(norms))
    cut = rows * np.minimum(1.0, most / np.maximum(norms, 1e-300))
    return cut + rng.standard_normal(rows.shape) * ratio * most / np.sqrt(rows.shape[1])


def lengths(rows: Array, sizes: Sequence[int], spread: float, rng: np.random.Generator) -> Array:
    return rows * np.exp(spread * rng.standard_normal((len(rows), 1)))


WAYS: dict[str, Way] = {
    "top": top,
    "same": same,
    "own": own,
    "levels": levels,
    "signs": signs,
    "noise": noise,
    "lengths": lengths,
}


def parsed(text: str) -> tuple[Way, float]:
    """A way and how much of it, from ``NAME=VALUE`` or ``NAME``; ValueError for anything else."""
    name, _, value = text.partition("=")
    if name not in WAYS:
        raise ValueError(f"{text}: there is no way {name} (known: {', '.join(WAYS)})")
    return WAYS[name], float(value) if value else 0.0


def sent(updates: Updates, text: str, seed: int) -> Updates:
    """The round as it arrives so; all numbers are finite."""
    way, value = parsed(text)
    sizes = [int(np.prod(t.shape[1:])) for t in updates.tensors.values()]
    rows = flatten(updates, np.arange(len(updates.clients)))
    arrived = unflatten(way(rows, sizes, value, np.random.default_rng(seed)), updates)
    types = {name: tensor.dtype for name, tensor in updates.tensors.items()}
    return replace(updates, tensors={n: t.astype(types[n]) for n, t in arrived.items()})
