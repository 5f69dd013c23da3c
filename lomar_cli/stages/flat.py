"""Client files whose trained parameters are one number everywhere, which no training leaves.

The round holds differences to the base model, of which nobody can tell that later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.text import listed, printable
from lomar_cli.scoring.screen import ALIKE, LEAST


class Flat:
    """Collects the clients whose trained parameters are all zero or all the same."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def add(self, client: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """One client's trained parameters, buffers left out."""
        if sum(array.size for array in arrays.values()) < LEAST:
            return
        # Few numbers of each tell nearly always that they are not alike.
        few = [array.reshape(-1)[:LEAST] for array in arrays.values()]
        if _alike(few) and _alike(list(arrays.values())):
            value = float(next(iter(arrays.values())).reshape(-1)[0])
            what = "zero" if value == 0 else f"about {value:.3g}"
            self._found.append(f"{printable(client, 40)} ({what})")

    def warning(self) -> str | None:
        """A sentence that names them."""
        if not self._found:
            return None
        return (
            f"trained parameters that are one number everywhere: {listed(self._found)}; as "
            "differences to the base model they are compared like any others"
        )


def _alike(arrays: list[NDArray[Any]]) -> bool:
    low = min(float(array.min()) for array in arrays)
    high = max(float(array.max()) for array in arrays)
    # NaN is not alike; infinity is judged when the round is scored.
    return bool(np.isfinite(low) and high - low <= ALIKE * max(abs(low), abs(high)))
