"""FLTrust (Cao et al., NDSS 2021): clients weigh as much as the server trusts them.

``g = sum_i TS_i (|u_0| / |u_i|) u_i / sum_i TS_i`` with ``TS_i = ReLU(cos(u_i, u_0))`` and the
update u_0 that the server trained on its own root data. Without any trusted client the update is
zero: this rule never averages instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lomar_cli.aggregation.base import Aggregate, Vector, combine, counts_once
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.fltrust import trust
from lomar_cli.scoring.trusted import compare


@dataclass(frozen=True)
class FlTrust:
    """No options. The clients' weights do not count: only the trust does."""

    def __call__(self, view: RoundView, weights: Vector) -> Aggregate:
        found = compare(view, "--rule fltrust")
        scores = np.where(weights > 0, trust(found), 0.0)
        used = scores > 0
        if not used.any():
            zero = {
                name: np.zeros(tensor.shape[1:]) for name, tensor in view.updates.tensors.items()
            }
            note = "no client points with the trusted update: the aggregated update is zero"
            return Aggregate(zero, used, (note, *counts_once("fltrust", weights)))
        rescaled = found.length / np.where(used, found.lengths, 1)
        update = combine(view.updates, scores * rescaled / scores.sum())
        note = f"{int(used.sum())} of {len(used)} clients have any trust"
        return Aggregate(update, used, (note, *counts_once("fltrust", weights)))
