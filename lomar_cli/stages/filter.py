"""Leave the flagged clients out of a round."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lomar_cli.errors import LomarError
from lomar_cli.files.atomic import check_output
from lomar_cli.files.provenance import extend
from lomar_cli.files.round import DEFAULT_MEMORY, Paths, RoundHead, create_round, open_rounds
from lomar_cli.files.scores import read_scores
from lomar_cli.files.stored_types import types_of, write_types
from lomar_cli.stages.verdict import rows_of

# Clients copied at a time: as many as this holds, or one.
_BLOCK_BYTES = 2**24


@dataclass(frozen=True)
class Filtered:
    """The head of the new round, and how many clients were ``removed``.

    ``sharing`` clients were kept with a weight below 1, which a round cannot hold.
    """

    head: RoundHead
    removed: int
    sharing: int


def filter_round(
    paths: Paths, scores_path: Path, output: Path, memory: int = DEFAULT_MEMORY, force: bool = False
) -> Filtered:
    """Write the round of kept clients of ``paths``, one file or several, as one file."""
    check_output(output, force)
    scores = read_scores(scores_path)
    with open_rounds(paths, memory) as found:
        order, tensors = rows_of(found, scores, scores_path), found.updates.tensors
        keep, weight = scores.keep[order], scores.weight[order]
        rows = np.flatnonzero(keep)
        if len(rows) == 0:
            raise LomarError("the scores keep nobody: an empty round is not written")
        head = replace(
            found.head,
            clients=[found.head.clients[int(row)] for row in rows],
            num_examples=found.head.num_examples[rows],
        )
        said = {"method": scores.method, "removed": len(found.head.clients) - len(rows)}
        inputs = {**found.inputs(), "scores": scores.sha256}
        chain = extend("filter", said, inputs, [found.provenance, scores.provenance])
        with create_round(output, head, chain, force) as writer:
            client = max(1, found.updates.size * found.updates.dtype.itemsize)
            step, place = max(1, _BLOCK_BYTES // client), 0
            for first in range(0, len(keep), step):
                chosen = keep[first : first + step]
                if not chosen.any():
                    continue
                block = {n: t[first : first + step][chosen] for n, t in tensors.items()}
                writer.write(place, block)
                place += int(chosen.sum())
            # The rows are as they were, and so is what is known of them.
            write_types(writer.handle, types_of(paths))
        return Filtered(head, len(keep) - len(rows), int((weight[rows] < 1).sum()))
