"""The clients' weights: how many samples each says it has, how far that is believed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import UsageError
from lomar_cli.files.text import printable

Vector = NDArray[np.float64]
WEIGHTS = ("examples", "uniform")


def base_weights(num_examples: NDArray[np.int64], by: str) -> Vector:
    """``num_examples``, or 1 for every client that has any."""
    if by not in WEIGHTS:
        raise UsageError(f"--weights {by}: must be one of {', '.join(WEIGHTS)}")
    if by == "uniform":
        return (num_examples > 0).astype(np.float64)
    return num_examples.astype(np.float64)


def capped(weights: Vector, most: float) -> Vector:
    """Shares (n,) that sum to 1, of which none is above ``most``.

    What is cut off goes to the others in proportion to their weights, which can lift more of them
    above ``most``: they are cut in turn.
    """
    if most * len(weights) < 1 - 1e-9:
        raise UsageError(
            f"--max-weight-share {most:g}: {len(weights)} clients cannot all stay below it; "
            f"it must be at least 1/{len(weights)} = {1 / len(weights):.4g}"
        )
    free = weights > 0
    shares: Vector = weights / weights.sum()
    cut = np.zeros(len(weights), dtype=bool)
    while (over := free & ~cut & (shares > most * (1 + 1e-12))).any():
        cut |= over
        rest = free & ~cut
        shares[cut] = most
        if rest.any():
            shares[rest] = weights[rest] * (1 - most * cut.sum()) / weights[rest].sum()
    return shares


def large_claim(weights: Vector, clients: list[str]) -> str | None:
    """A warning when one client says it has far more samples than its part of them."""
    shares = weights / weights.sum()
    top = int(shares.argmax())
    if shares[top] <= max(5 / len(shares), 0.1):
        return None
    return (
        f"client '{printable(clients[top], 40)}' claims {100 * shares[top]:.0f} % of all samples, "
        "and nothing but its word says so; --max-weight-share bounds it, --weights uniform counts "
        "clients equally"
    )


def shared_votes(votes: Vector) -> list[str]:
    """A note when some of those that take part have less than a whole vote (n,) by the scores."""
    sharing = votes < 1
    if not sharing.any():
        return []
    return [
        f"by the scores {int(sharing.sum())} clients share votes with near-copies of theirs: "
        f"together they weigh as {votes[sharing].sum():.4g} would"
    ]
