"""What an attack on a split is: a frozen dataclass of options, called with what the attacker holds.

As in ``base``, nothing at the top of an attack's module may load numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

POISON_FRACTION = "Share of a malicious client's samples that are poisoned, of those that can be."


@dataclass(frozen=True)
class Holdings:
    """The data set, and the clients that the attacker holds in it.

    ``truth`` (samples,) are the label numbers of the training part, ``labels`` their names.
    ``own`` are the samples of each controlled client before the attack, as indices into
    ``truth``. ``shape`` is that of a sample as a picture (channels, height, width), () for none.
    ``repeat``: a client may hold a sample several times, as the split's own clients do.
    """

    dataset: str
    truth: Ints
    labels: Sequence[str]
    shape: Sequence[int]
    own: Sequence[Ints]
    rng: np.random.Generator
    repeat: bool = False


@dataclass(frozen=True)
class Pattern:
    """Which features of a flat picture change, to what value, and the part each one belongs to."""

    feature: Ints
    value: NDArray[np.float64]
    piece: Ints


@dataclass(frozen=True)
class Tampered:
    """One controlled client after the attack.

    ``places`` are positions among its ``samples``, rising: these it sees as ``label``. Where the
    attack has a pattern, they carry its ``part``, -1 for all of it. Without places the client
    does no harm.
    """

    samples: Ints
    places: Ints
    label: int
    part: int = -1


@dataclass(frozen=True)
class Poisoning:
    """What the attack does to the controlled clients, in their order.

    ``said`` are its options as the provenance has them. ``pattern`` is what stamped samples carry,
    and ``target`` the label it is to lead to.
    """

    clients: list[Tampered]
    said: dict[str, Any] = field(default_factory=dict)
    pattern: Pattern | None = None
    target: int = -1


@dataclass(frozen=True)
class SplitAttack:
    """The options of an attack on a split.

    ``verb`` is what its clients do to samples, ``harmless`` why one of them may do nothing, and
    ``example`` what the example in its help needs besides the usual.
    """

    verb: ClassVar[str] = "poison"
    harmless: ClassVar[str] = "have nothing to poison"
    example: ClassVar[str] = ""

    def __call__(self, held: Holdings) -> Poisoning:
        """What the controlled clients train on."""
        raise NotImplementedError
