"""Clients whose pictures look different: turned, moved, blurred, dimmed, brightened, with noise.

As with other cameras, scanners or hands; labels stay what they were. ``turn=30`` gives every client
one of seven amounts, from minus 30 to 30 degrees, drawn at random; ``turn=30@0.2`` 30 degrees to
each client with a chance of 0.2 and none to the others, as where a second kind of device is in use.
``turn`` is in degrees, ``move`` in pixels, ``blur`` the deviation of a Gaussian in pixels, ``dim``
and ``bright`` and ``noise`` (its deviation) shares of the brightest value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lomar_cli.data.dataset import Dataset
from lomar_cli.learning.registry import ClientData

# Pictures (n, height, width) from 0 to 1, how much, and where chance comes from.
Pictures = NDArray[np.float64]
Look = Callable[[Pictures, float, np.random.Generator], Pictures]
LEVELS = 7
AXES = (-2, -1)


def turn(x: Pictures, degrees: float, rng: np.random.Generator) -> Pictures:
    found: Pictures = ndimage.rotate(x, degrees, axes=AXES, reshape=False, order=1)
    return found


def move(x: Pictures, pixels: float, rng: np.random.Generator) -> Pictures:
    found: Pictures = ndimage.shift(x, (*(0,) * (x.ndim - 2), pixels, pixels), order=1)
    return found


def blur(x: Pictures, deviation: float, rng: np.random.Generator) -> Pictures:
    found: Pictures = ndimage.gaussian_filter(x, deviation, axes=AXES)
    return found


def dim(x: Pictures, share: float, rng: np.random.Generator) -> Pictures:
    return x * (1 - share)


def bright(x: Pictures, share: float, rng: np.random.Generator) -> Pictures:
    return x + share


def noise(x: Pictures, deviation: float, rng: np.random.Generator) -> Pictures:
    return x + deviation * rng.standard_normal(x.shape)


LOOKS: dict[str, Look] = {
    "turn": turn,
    "move": move,
    "blur": blur,
    "dim": dim,
    "bright": bright,
    "noise": noise,
}
BOTH_WAYS = {"turn", "move"}


def parsed(text: str) -> tuple[str, float, float | None]:
    """Look, amount, and the share of clients that have it (None: each an amount of its own)."""
    look, _, rest = text.partition("=")
    if look not in LOOKS:
        raise ValueError(f"{text}: there is no look {look} (known: {', '.join(LOOKS)})")
    amount, _, share = rest.partition("@")
    return look, float(amount), float(share) if share else None


def amounts(text: str, clients: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How much each of so many clients has of it."""
    look, most, share = parsed(text)
    if share is not None:
        return np.where(rng.random(clients) < share, most, 0.0)
    levels = np.linspace(-most if look in BOTH_WAYS else 0.0, most, LEVELS)
    return levels[rng.integers(LEVELS, size=clients)]


def pictured(
    data: Dataset, clients: Sequence[ClientData], text: str, rng: np.random.Generator
) -> tuple[Dataset, list[ClientData]]:
    """A data set of these clients' own samples as they look there, and the clients in it."""
    if not data.shape:
        raise ValueError(f"{data.name} has no pictures")
    look = LOOKS[parsed(text)[0]]
    top = float(data.x_train.max())
    rows: list[NDArray[Any]] = []
    made: list[ClientData] = []
    start = 0
    for client, amount in zip(clients, amounts(text, len(clients), rng), strict=True):
        own = data.x_train[client.samples]
        if amount:
            x = own.reshape(len(own), *data.shape).astype(np.float64) / top
            seen = np.clip(look(x, float(amount), rng), 0, 1) * top
            own = seen.reshape(own.shape).astype(own.dtype)
        rows.append(own)
        places = np.arange(start, start + len(own))
        made.append(dataclasses.replace(client, samples=places))
        start += len(own)
    labels = np.concatenate([data.y_train[client.samples] for client in clients])
    return dataclasses.replace(data, x_train=np.concatenate(rows), y_train=labels), made
