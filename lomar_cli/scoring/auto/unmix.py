"""What a client says of each class: its output layer's update, unmixed into classes.

A step of cross-entropy moves row r of the output layer by the sum over samples x of
``(1[y = r] - p_r(x)) x`` (x: what enters the layer). So the update of row r is close to
``sum_l A[r, l] mu_l`` with mu_l the mean of class l, ``A[l, l] > 0`` and ``A[r, l] <= 0`` else:
samples of class l push their own row up and all others down. A client that relabels class s as g
has ``A[g, s] > 0`` and ``A[s, s] <= 0``, however its labels are mixed: no honest client has.

A is not seen, but a linear map of the rows gives it: ``A[r, l] = row_r . q_l``. The q_l come from
one weighted regression over all rows of all clients on what the labels would be, taken at their
word: flips touch one row in R of few clients, and stand in no other row's way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.updates import Updates
from lomar_cli.scoring.auto.base import Seen, Sight, cannot
from lomar_cli.scoring.auto.claims import claims
from lomar_cli.scoring.auto.gaps import Gaps, Moves
from lomar_cli.scoring.auto.word import Word, read_word
from lomar_cli.scoring.lengths import squared_lengths

Floats = NDArray[np.floating[Any]]
Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
# Above this the contents, R x R a client, are not worth their time.
MOST_LABELS = 64
# Rows of a client longer than so many median ones are cut: one client must not choose the axes.
_LONGEST = 3.0
_RIDGE = 1e-3
_OVERSAMPLED = 8
# A difference of squares below this share of them is no more than their rounding.
_ROUNDING = 1e-12
_POWERS = 3


@dataclass(frozen=True)
class Rows:
    """The output layer's updates of n clients in few dimensions.

    ``parts`` (n, R, R) are the rows' coordinates on their R leading common directions, ``rest``
    (n, R) the squared length outside these: the noise of a row. ``claims`` (n, R) is how much of
    each label a client says it has, from 0. All in units of the median client's length. What is
    below ``faint`` times a client's most is nothing; ``notes`` are about how claims were read,
    ``gaps`` what is missing from the rows, ``word`` whether biases are those of their rows.
    """

    parts: Array
    rest: Array
    claims: Array
    faint: float
    notes: Sequence[str] = ()
    gaps: Gaps | None = None
    word: Word | None = None


def unfit(updates: Updates) -> Sight | None:
    """Why no view can compare the labels' contents of a round, None where one can."""
    count = len(updates.clients)
    if updates.output is None:
        return cannot(count, "no output layer: label flips that keep to a client's own mix of "
                      "labels cannot be told (name it with lomar dump --output-layer)")  # fmt: skip
    if updates.label_count > MOST_LABELS:
        return cannot(count, f"more than {MOST_LABELS} labels: label contents are not compared")
    least = 2 * updates.label_count + 10
    if count < least:
        return cannot(
            count,
            f"fewer than {least} clients for {updates.label_count} labels: label contents cannot "
            "be compared",
        )
    return None


def rows_seen(seen: Seen, trusted: Mask) -> Rows:
    """``rows`` of the round that is looked at, read once for views that trust the same clients."""
    if "rows" not in seen.shared or (seen.shared["rows"][0] != trusted).any():
        seen.shared["rows"] = (trusted, rows(seen.geometry.updates, trusted))
    found: Rows = seen.shared["rows"][1]
    return found


def rows(updates: Updates, trusted: Mask | None = None) -> Rows:
    """Read the output layer label by label, six times; of all rows only coordinates are held.

    What is common to all rows has no effect on a softmax and is taken out first. The common
    directions are those of the ``trusted`` clients (n,), by default of all.
    """
    assert updates.output is not None
    everybody = np.ones(len(updates.clients), dtype=bool)
    blocks = _Blocks(updates, everybody if trusted is None else trusted)
    seen = [(squared_lengths(block), block[:, -1].copy()) for block in blocks.each()]
    energy = np.stack([squares for squares, _ in seen], axis=1)
    lengths = np.sqrt(energy.sum(axis=1))
    usual = float(np.median(lengths)) or 1.0
    cut = 1 / np.maximum(lengths / (_LONGEST * usual), 1.0)
    votes = cut if trusted is None else np.where(trusted, cut, 0.0)
    scale = cut / usual
    last: Array = np.stack([one for _, one in seen], axis=1).astype(np.float64, copy=False)
    parts, weights = _leading(blocks, votes, last)
    parts *= scale[:, None, None]
    energy *= scale[:, None] ** 2
    # What is less than its rounding is not told apart: rows without noise weigh the same.
    floor = _ROUNDING * float(np.median(energy))
    rest = np.maximum(energy - (parts**2).sum(axis=2), floor)
    bias = word = None
    if updates.output.bias is not None and not blocks.gaps.unsaid:
        bias = last * scale[:, None]
        if not (blocks.gaps.own or blocks.gaps.refused):
            word = read_word(weights * scale[:, None, None], bias, votes > 0)
    held = claims(parts, bias, votes > 0)
    held.amounts[:, blocks.gaps.dead] = 0.0
    return Rows(parts, rest, held.amounts, held.faint, held.notes, blocks.gaps, word)


class _Blocks:
    """The rows of every label less what is common to all labels, one label at a time."""

    def __init__(self, updates: Updates, trusted: Mask) -> None:
        self._updates = updates
        self.labels = updates.label_count
        self.dtype = updates.dtype
        some = trusted if trusted.any() else ~trusted
        first, moves = updates.label_block(0), Moves()
        moves.add(first[some])
        self._common = first.astype(np.float64, order="C")
        for label in range(1, self.labels):
            block = updates.label_block(label)
            moves.add(block[some])
            self._common += block
        self._common /= self.labels
        self.gaps = moves.gaps()
        self.width: int = self._common.shape[1]
        # For all labels: fresh memory takes longer than the numbers that go into it.
        self._held = np.empty_like(self._common)

    def each(self, kind: type[np.floating[Any]] | np.dtype[Any] = np.float64) -> Iterator[Floats]:
        """The rows (n, width) of label after label, each there until the next is asked for."""
        common = self._common.astype(kind, copy=False)
        held = self._held.view(kind).reshape(-1)[: common.size].reshape(common.shape)
        for label in range(self.labels):
            yield np.subtract(self._updates.label_block(label), common, out=held)


def _leading(blocks: _Blocks, votes: Array, last: Array) -> tuple[Array, Array]:
    """All rows' coordinates (n, R, R) on their leading right singular vectors.

    And those (n, R, K) of the rows without their ``last`` column (n, R), the bias, on the vectors
    that these are made of.

    Clients count by their ``votes`` (n,). By randomised iteration (Halko, Martinsson and Tropp
    2011, algorithm 4.4), with a fixed start.
    """
    width, wanted = blocks.width, min(blocks.width, blocks.labels)
    size = min(width, blocks.labels + _OVERSAMPLED)
    sketch = np.random.default_rng(0).standard_normal((width, size))
    for _ in range(_POWERS):
        basis, _ = np.linalg.qr(sketch)
        sketch = np.zeros_like(basis)
        # Directions need no more digits than the updates have, and are found sooner so.
        for block in blocks.each(blocks.dtype):
            seen = block @ basis.astype(block.dtype)
            seen *= (votes**2)[:, None].astype(block.dtype)
            sketch += block.T @ seen
    basis, _ = np.linalg.qr(sketch)
    seen = np.stack([block @ basis for block in blocks.each()], axis=1)
    voting = (seen * votes[:, None, None]).reshape(-1, size)
    _, turned = np.linalg.eigh(voting.T @ voting)
    weights = seen - last[:, :, None] * basis[-1]
    return seen @ turned[:, ::-1][:, :wanted], weights


def unmix(seen: Rows, trusted: Mask) -> Array:
    """``A`` (n, R, R): row r's content of class l, by the regression over ``trusted`` clients."""
    count, labels, size = seen.parts.shape
    own = np.eye(labels) - 1 / labels
    wanted = seen.claims[trusted][:, None, :] * own[None]
    weight = 1 / (seen.rest[trusted] + 0.1 * float(np.median(seen.rest)) + 1e-300)
    x = seen.parts[trusted].reshape(-1, size)
    weighted = x * weight.reshape(-1, 1)
    moments = weighted.T @ x
    moments += (_RIDGE * np.trace(moments) / size + 1e-300) * np.eye(size)
    maps = np.linalg.solve(moments, weighted.T @ wanted.reshape(-1, labels))
    found: Array = (seen.parts.reshape(-1, size) @ maps).reshape(count, labels, labels)
    return found
