"""What a rule is: a view of a round in, one update and who took part out.

Most rules end in a linear combination of the clients' updates, and find its coefficients from
inner products or distances alone; the others work coordinate by coordinate. Neither needs more
than a block of columns in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import LomarError, UsageError
from lomar_cli.files.text import printable
from lomar_cli.files.updates import Updates
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.screen import magnitudes
from lomar_cli.scoring.wide import LARGE, is_beyond, widened

Vector = NDArray[np.float64]
BLOCK_BYTES = 2**26
# Values widened to float64 at a time: 2 MB, which stay in the cache until they are multiplied.
_WIDENED = 2**18


@dataclass(frozen=True)
class Aggregate:
    """``update`` by parameter name, float64; ``used`` (n,) marks the clients that took part.

    ``notes`` are sentences for people: what was assumed, what could not be done.
    """

    update: Mapping[str, NDArray[np.float64]]
    used: NDArray[np.bool_]
    notes: tuple[str, ...] = ()


class Rule(Protocol):
    """A rule's options: a frozen dataclass that can be called on a round.

    ``weights`` (n,) are the clients' weights, not negative, of which at least one is above 0.
    """

    def __call__(self, view: RoundView, weights: Vector) -> Aggregate: ...


def combine(updates: Updates, coefficients: Vector) -> dict[str, NDArray[np.float64]]:
    """``sum_i c_i u_i`` by parameter; clients with coefficient 0 are not even read into it."""
    rows = np.flatnonzero(coefficients)
    chosen = coefficients[rows]
    everyone = len(rows) == len(coefficients)
    width = max(1, _WIDENED // max(1, len(rows)))

    def weighted(block: NDArray[Any]) -> NDArray[np.float64]:
        total = np.empty(block.shape[1])
        for start in range(0, block.shape[1], width):
            piece = block[:, start : start + width]
            part = (piece if everyone else piece[rows]).astype(np.float64)
            # What is not finite makes the sum so; which client it was is asked only then.
            with np.errstate(invalid="ignore", over="ignore"):
                np.matmul(chosen, part, out=total[start : start + width])
        if not np.isfinite(total).all():
            check_finite(block[rows], updates, rows)
        return total

    return by_column(updates, weighted)


def by_column(
    updates: Updates, function: Callable[[NDArray[Any]], NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Apply ``function`` (clients, columns) -> (columns,) to all parameters, block by block."""
    done = {}
    for name, tensor in updates.tensors.items():
        pieces = [function(block) for block in blocks(tensor)]
        done[name] = np.concatenate(pieces).reshape(tensor.shape[1:])
    return done


def blocks(tensor: Any, max_bytes: int = BLOCK_BYTES) -> Iterator[NDArray[Any]]:
    """A (clients, ...) tensor as (clients, columns) blocks of at most about ``max_bytes``."""
    clients = tensor.shape[0]
    if len(tensor.shape) == 1:
        yield np.asarray(tensor[:]).reshape(clients, 1)
        return
    row = 8 * clients * int(np.prod(tensor.shape[2:], dtype=np.int64))
    step = max(1, max_bytes // max(1, row))
    for start in range(0, tensor.shape[1], step):
        yield np.asarray(tensor[:, start : start + step]).reshape(clients, -1)


def check_finite(part: NDArray[Any], updates: Updates, rows: NDArray[np.intp]) -> None:
    """Refuse to average what a client sent as NaN or infinity."""
    good = np.isfinite(part).all(axis=1)
    if not good.all():
        raise _not_finite(updates, int(rows[~good][0]))


def checked(view: RoundView) -> RoundView:
    """The view, after refusing NaN and infinity; in float64 where squares would not fit."""
    largest = magnitudes(view.updates)
    good = np.isfinite(largest)
    if not good.all():
        raise _not_finite(view.updates, int(np.flatnonzero(~good)[0]))
    if largest.max() > LARGE[8]:
        name = printable(view.updates.clients[int(largest.argmax())])
        raise LomarError(
            f"the update of client '{name}' holds {largest.max():.0e}, too large to compare; "
            "score the round and pass --scores, so that it is left out"
        )
    if not is_beyond(largest, view.geometry.dtype):
        return view
    updates = widened(view.updates)
    geometry = Geometry(updates, view.geometry.memory, view.geometry.jobs)
    return replace(view, updates=updates, geometry=geometry)


def lengths(updates: Updates) -> Vector:
    """Euclidean lengths (n,) of the updates, summed in float64."""
    total = np.zeros(len(updates.clients))
    for tensor in updates.scored().tensors.values():
        for block in blocks(tensor):
            wide = block.astype(np.float64)
            total += np.einsum("ij,ij->i", wide, wide)
    found: Vector = np.sqrt(total)
    return found


def need(who: str, clients: int, least: int, why: str) -> None:
    """UsageError when there are fewer clients than a rule needs, with the need in words."""
    if clients < least:
        raise UsageError(f"{who}: needs {why}: at least {least} clients; there are {clients}")


def counts_once(who: str, weights: Vector) -> tuple[str, ...]:
    """A note, where weights differ, for what counts every client once as its authors define it."""
    if np.ptp(weights) <= 1e-12 * weights.max():
        return ()
    return (f"{who} counts every client once, as it is defined: the weights are not used",)


def _not_finite(updates: Updates, row: int) -> LomarError:
    return LomarError(
        f"the update of client '{printable(updates.clients[row])}' holds NaN or infinity; score "
        "the round and pass --scores, so that it is left out"
    )
