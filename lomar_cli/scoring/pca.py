"""PCA separation, the label-flip detector of Tolpegin et al. (ESORICS 2020).

Their defense against label flipping takes the output layer's row of the source label,
standardises every parameter, and plots the first two principal components, on which the malicious
clients lie apart. The source label is unknown here, and nobody looks at a plot: every label is
tried, its plane is parted by two-means, and the label whose two groups are furthest apart judges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lomar_cli.errors import UsageError
from lomar_cli.scoring.base import Judgement, RoundView
from lomar_cli.scoring.common import judged, need_clients
from lomar_cli.scoring.components import centred_gram, coordinates, coordinates_of_rows
from lomar_cli.scoring.two_means import CLEAR, Pair, pair


@dataclass(frozen=True)
class Pca:
    """``separation`` is how many spreads apart two groups must lie to be two (else all are kept).

    ``standardize`` divides every parameter by its standard deviation, as the paper does.
    """

    separation: float = CLEAR
    standardize: bool = True

    def __post_init__(self) -> None:
        if not self.separation >= 0:
            raise UsageError(f"--set separation={self.separation}: must be 0 or more")

    def __call__(self, view: RoundView) -> Judgement:
        count = need_clients(view, "pca", 3)
        labels = range(view.updates.label_count)
        pairs = view.geometry.map(lambda label: self._pair(view, label), labels)
        distances = [found.separation if found else 0.0 for found in pairs]
        best = int(np.argmax(distances))
        chosen = pairs[best]
        if chosen is None:
            notes = ["the updates do not vary on any label: everybody is kept"]
            return judged(np.zeros(count), 0.5, str, "the same as everybody", notes=notes)
        where = "the update"
        if view.updates.output is not None:
            where = f"label {view.updates.label_name(best)}"
        about = (
            f"{where} separates best: two groups {chosen.separation:.3g} spreads apart in the "
            "plane of its first two principal components"
        )
        clear = chosen.separation >= self.separation
        if not clear:
            about += f", less than {self.separation:g}: they are one group, everybody is kept"
        return judged(
            chosen.place,
            0.5 if clear else max(0.5, float(chosen.place.max())),
            lambda row: f"with the smaller of two groups on {where}",
            f"with the larger of two groups on {where}" if clear else "no groups are apart",
            notes=[about],
        )

    def _pair(self, view: RoundView, label: int) -> Pair | None:
        if self.standardize:
            block = view.updates.label_block(label).astype(np.float64)
            mean = block.mean(axis=0)
            block -= mean
            spread = np.sqrt((block**2).mean(axis=0))
            # A parameter that is the same for all has only rounding for a spread, and says nothing.
            block /= np.where(spread > 1e-12 * np.abs(mean), spread, np.inf)
            # In the round's own type: standardised numbers are all of one size.
            block = block.astype(view.geometry.dtype)
            return pair(coordinates_of_rows(block, 2))
        return pair(coordinates(centred_gram(view.geometry.block_squares(label)), 2))
