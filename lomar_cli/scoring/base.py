"""What a method is: a view of a round in, a judgement out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.updates import Updates
from lomar_cli.scoring.geometry import Geometry

Vector = NDArray[np.float64]
# The mean loss, on data of the defender's own, of the model that a round starts from plus a step
# of some of its parameters.
Loss = Callable[[Mapping[str, NDArray[Any]]], float]


@dataclass(frozen=True)
class RoundView:
    """What a method may look at: n updates, already screened, and their shared distances.

    ``seed`` feeds methods that draw. ``history`` are earlier rounds, the oldest first, whose
    clients are matched by id; ``root`` is a round that the defender made from data of its own, and
    ``loss`` the loss on such data.
    """

    updates: Updates
    geometry: Geometry
    seed: int = 0
    history: Sequence[Updates] = ()
    root: Updates | None = None
    loss: Loss | None = None


@dataclass(frozen=True)
class Judgement:
    """What a method says of n clients.

    ``suspicion`` (n,) is finite, higher is worse; a client is kept when it is at most
    ``threshold``. ``columns`` are the method's own numbers (n,); one named ``view_NAME`` is what
    one view suspects, in units of its threshold (1 is on it, NaN could not judge). ``reasons`` are
    a person's words, ``notes`` sentences about the whole round.

    ``weight`` (n,), in (0, 1], is each client's part of one vote where near-copies share one; None
    stands for 1 each.
    """

    suspicion: Vector
    threshold: float
    keep: NDArray[np.bool_]
    reasons: Sequence[str]
    columns: Mapping[str, Vector] = field(default_factory=dict)
    notes: Sequence[str] = ()
    weight: Vector | None = None


class Method(Protocol):
    """A method's options: a frozen dataclass that can be called on a round.

    One that looks at ``geometry.squares`` says so by a class variable ``by_distance = True``: then
    distances are made while a round that does not fit into memory is read, or by a cluster. With
    ``by_course = True`` it asks for ``geometry.course``, too, and both are made in one reading (but
    where its ``asks_course`` is False); with ``reads_columns = True`` it also reads updates, beyond
    their output layer. One that looks at ``geometry.block_squares`` of every label, or
    ``each_block``, says ``by_label = True``: they are then made in that reading, too.
    """

    def __call__(self, view: RoundView) -> Judgement: ...
