"""Every view by name, in the order in which they look. A new one is one file and one line here."""

from __future__ import annotations

from dataclasses import dataclass

from lomar_cli.scoring.auto.axis import axis
from lomar_cli.scoring.auto.base import View
from lomar_cli.scoring.auto.bias import bias
from lomar_cli.scoring.auto.direction import direction, projection
from lomar_cli.scoring.auto.distances import far, mean, near
from lomar_cli.scoring.auto.mix import mix
from lomar_cli.scoring.auto.quiet import quiet
from lomar_cli.scoring.auto.rest import rest
from lomar_cli.scoring.auto.signs import signs


@dataclass(frozen=True)
class ViewEntry:
    """A view, what it is about (two of one ``kind`` second nobody), and its side in words.

    With fewer clients than ``small``, honest ones with the same major label look like a minority of
    attackers to it, so that it is not believed alone where it flags three in ten. ``course`` says
    that it asks for ``geometry.course``. Where the view ``after`` finds somebody, this one looks
    again without these, and flags only whom it flags both times. One that looks at ``each`` client
    by itself, whoever is near it, is shown all near-copies, where the others see one of each. One
    that asks for the ``amounts`` of labels that a client holds is shown updates as they are, where
    numbers of samples are taken out of the others' lengths (``level``); one that asks for the
    ``closeness`` of clients is shown them at one length where lengths differ for no known reason.
    """

    look: View
    kind: str
    side: str
    small: int = 50
    course: bool = False
    after: str = ""
    each: bool = False
    amounts: bool = False
    closeness: bool = False


VIEWS: dict[str, ViewEntry] = {
    "near": ViewEntry(near, "tight", "tighter than its own neighbourhood", 30, closeness=True),
    "far": ViewEntry(far, "thin", "in a thinner region than others"),
    "mean": ViewEntry(mean, "thin", "in a thinner region than others"),
    "direction": ViewEntry(direction, "direction", "points against the round", course=True),
    "projection": ViewEntry(projection, "direction", "pulls against the round", course=True),
    "signs": ViewEntry(signs, "signs", "signs unlike the others'", course=True, each=True),
    "quiet": ViewEntry(
        quiet, "signs", "moves parameters that the others leave alone", course=True, each=True
    ),
    "bias": ViewEntry(bias, "bias", "its bias is not that of its own weights", amounts=True),
    "rest": ViewEntry(
        rest, "rest", "its labels do not explain its update", after="mix", amounts=True
    ),
    "axis": ViewEntry(axis, "axis", "apart in what updates differ in most", closeness=True),
    "mix": ViewEntry(mix, "labels", "labels do not fit the samples", amounts=True),
}
