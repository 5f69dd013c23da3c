"""Updates levelled by how many samples their clients say they have.

Who has more samples takes more steps and moves further. Where that is most of what lengths differ
by, distances say who has how many: long updates are far from everybody, short ones close to each
other, and flippers of several sizes no crowd. So lengths are put to what they would be if all had
as many, as far as numbers of samples explain them; where these are all the same, nothing changes.
Views on the amounts of labels need no such thing: what explains amounts explains lengths.
Where lengths differ for no reason that is known (other numbers of epochs, another learning rate),
being close to others is judged at one length: short updates are close to each other by nature.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lomar_cli.scoring.base import Vector
from lomar_cli.scoring.geometry import Floats, Geometry
from lomar_cli.scoring.middle import Course, CourseSum
from lomar_cli.scoring.nearest import row_blocks

# The majority whose lengths are to agree: as many as are the core of every threshold.
_MAJORITY = 0.55
_EXPONENTS = np.linspace(0.0, 1.0, 21)
# Numbers count only where they differ by this factor within any such share of the clients, so that
# more than a third would have to lie to make them differ; and only if they explain so much that a
# majority's lengths reach no more than this part of what they did.
_DIFFERENT, _SAID, _CLEAR = 1.5, 0.65, 0.6
# A claim counts so many times as far as the majority's reach from the middle, and no further than
# this factor; it is none where it is further than that from what others say.
_BEYOND, _MOST, _BELIEVED = 3.0, 8.0, 1000.0
# Clients of as many samples were found to differ by less in length, most of them.
_UNLIKE = 1.8


@dataclass(frozen=True)
class Level:
    """What to multiply the updates (n,) of these ``lengths`` by, and what there is to say of it;
    the ``exponent`` by which numbers of samples explain lengths, if they do.
    """

    factors: Vector
    lengths: Vector
    note: str
    exponent: float | None = None

    def of(self, geometry: Geometry, rows: NDArray[np.intp]) -> Geometry:
        """The ``geometry`` of these ``rows`` (m,) of the round, levelled."""
        return Levelled(geometry, self.factors[rows], self.lengths[rows])


def level_of(lengths: Vector, samples: NDArray[np.int64]) -> Level | None:
    """The level of updates (n,) by what their clients say they have; None where it says nothing.

    Lengths are taken to grow as a power from 0 to 1 of the number of samples: that by which the
    logarithms of a majority agree best (least median of squares, Rousseeuw 1984).
    """
    usual = float(np.median(samples))
    known = (lengths > 0) & (samples > usual / _BELIEVED) & (samples < usual * _BELIEVED)
    if not known.any():
        return None
    logs, counts = np.log(lengths[known]), np.log(samples[known].astype(np.float64))
    reach = _reach(counts, _SAID)
    if reach < np.log(_DIFFERENT):
        return None
    spreads = [_reach(logs - exponent * counts) for exponent in _EXPONENTS]
    best = float(_EXPONENTS[int(np.argmin(spreads))])
    if best == 0 or min(spreads) > _CLEAR * spreads[0]:
        return None
    found, most = np.ones(len(lengths)), min(np.log(_MOST), best * _BEYOND * reach / 2)
    found[known] = np.exp(np.clip(best * (np.median(counts) - counts), -most, most))
    note = (
        "updates are compared as if all clients had as many samples: lengths grow as the power "
        f"{best:.2g} of num_examples"
    )
    return Level(found, lengths, note, best)


def one_length(lengths: Vector, samples: NDArray[np.int64]) -> Level | None:
    """All updates at one length, as far as that takes no more than eight times as much or little;
    None unless most lengths (n,) are far from each other, for clients of as many ``samples`` (n,).
    """
    moved = lengths[lengths > 0]
    known = samples[samples > 0]
    if len(moved) == 0 or len(known) == 0 or _reach(np.log(known), _SAID) >= np.log(_DIFFERENT):
        return None
    factor = float(np.exp(_reach(np.log(moved))))
    if factor < _UNLIKE:
        return None
    note = (
        f"the lengths of most updates differ by a factor of {factor:.1f}, and num_examples is "
        f"{int(np.median(known))} for most: if clients have different numbers of samples, say so "
        "(dump --weights), or honest ones may be removed for theirs; who is close to whom is "
        "judged at one length"
    )
    usual = float(np.median(moved))
    found = usual / np.clip(lengths, usual / _MOST, usual * _MOST)
    return Level(found, lengths, note)


def _reach(values: Vector, share: float = _MAJORITY) -> float:
    """How far such a share of the values (n,) that lies closest together reaches."""
    ordered = np.sort(values)
    many = int(np.ceil(share * len(ordered)))
    return float((ordered[many - 1 :] - ordered[: len(ordered) - many + 1]).min())


def scaled(squares: Floats, factors: Vector, lengths: Vector, rows: slice) -> Floats:
    """Squared distances of some rows of n updates from all of them, once each is times its factor.

    ``squares`` are those rows' distances as they are, ``factors`` and ``lengths`` (n,). By
    |a u - b v|^2 = a b |u - v|^2 + (a - b)(a |u|^2 - b |v|^2), which is exact where copies are
    near; rounding may leave a little less than 0.
    """
    own = factors * lengths**2
    times, here = factors[rows, None], own[rows, None]
    found: Floats = times * factors * squares + (times - factors) * (here - own)
    return found


class Levelled(Geometry):
    """A geometry of the same clients' updates times ``factors`` (n,); none is read again.

    ``lengths`` (n,) are those of the updates as they are. Blocks of labels stay as they are.
    """

    def __init__(self, whole: Geometry, factors: Vector, lengths: Vector) -> None:
        super().__init__(whole.updates, whole.memory, whole.jobs, whole.adder)
        self._whole, self._factors, self._lengths = whole, factors, lengths

    @cached_property
    def squares(self) -> Floats:
        count = self.count
        found = np.empty((count, count))
        for some in row_blocks(count, count):
            found[some] = scaled(self._whole.squares[some], self._factors, self._lengths, some)
        np.maximum(found, 0.0, out=found)
        np.fill_diagonal(found, 0.0)
        return found

    def part(self, rows: NDArray[np.intp]) -> Geometry:
        return Levelled(self._whole.part(rows), self._factors[rows], self._lengths[rows])

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        found: NDArray[np.float64] = self._whole.gram * self._factors * self._factors[:, None]
        return found

    @cached_property
    def cosines(self) -> NDArray[np.float64]:
        return self._whole.cosines

    @cached_property
    def norms(self) -> NDArray[np.float64]:
        return self._factors * self._lengths

    @cached_property
    def course(self) -> Course:
        # Another median, for which the round is read once more, by this process.
        course = CourseSum(self.count)
        times = self._factors[:, None].astype(self.dtype)
        for stretch in self._stretches(self.updates.tensors):
            course.add(stretch.block * times, self.jobs)
        return course.finish()
