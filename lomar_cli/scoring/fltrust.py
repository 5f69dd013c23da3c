"""FLTrust's trust scores (Cao et al., NDSS 2021): ``TS_i = ReLU(cos(u_i, u_0))``.

``u_0`` is the update that the server trained on its own root data. A client without trust has no
say in the aggregate, so it is flagged; the aggregate itself is the rule ``fltrust``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lomar_cli.scoring.base import Judgement, RoundView, Vector
from lomar_cli.scoring.common import judged, need_clients
from lomar_cli.scoring.trusted import Comparison, compare

# A cosine that rounding alone can make.
_NONE = 1e-12


def trust(found: Comparison) -> Vector:
    """The trust scores (n,): the cosines where they are positive, otherwise 0."""
    return np.where(found.cosines > _NONE, found.cosines, 0.0)


@dataclass(frozen=True)
class FlTrust:
    """No options: the method has none but the root data."""

    def __call__(self, view: RoundView) -> Judgement:
        need_clients(view, "fltrust", 1)
        found = compare(view, "--method fltrust")
        return judged(
            -found.cosines,
            np.nextafter(-_NONE, -1),
            lambda row: "points away from the trusted update",
            "points with the trusted update",
            {"trust": trust(found)},
            ["a cosine with the trusted update above 0 is kept"],
        )
