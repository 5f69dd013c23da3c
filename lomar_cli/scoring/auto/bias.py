"""The view on biases: clients whose bias is not the one that their own rows have.

Rows of weights say what the bias is (``word``). Training does not make one that says otherwise; who
sends such a bias wants to be taken for a client of other labels.
"""

from __future__ import annotations

import numpy as np

from lomar_cli.scoring.auto.base import Seen, Sight, cannot
from lomar_cli.scoring.auto.unmix import rows_seen, unfit

# Who is within ranks by little: honest biases are off by some, too.
_POWER = 4


def bias(seen: Seen) -> Sight:
    """Each client's bias beside what its rows say of it."""
    updates = seen.geometry.updates
    fault = unfit(updates)
    if fault is not None:
        return fault
    count = len(updates.clients)
    word = rows_seen(seen, np.ones(count, dtype=bool)).word
    if word is None:
        return cannot(
            count,
            "the output layer has no bias, or parts of it are missing: biases are not compared "
            "with the weights that they belong to",
        )
    off = word.suspicion
    words = {
        int(i): f"its bias lies {word.share[i]:.0%} of its length off what its own weights say, "
        f"{word.off[i]:.2g} times as far as usual"
        for i in np.flatnonzero(off > 1)
    }
    return Sight(np.where(off > 1, off, off**_POWER), bool((off > 1).any()), words)
