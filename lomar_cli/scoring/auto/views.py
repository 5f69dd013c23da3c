"""Every view by name, in the order in which they look. A new one is one file and one line here."""

from __future__ import annotations

from lomar_cli.scoring.auto.base import View
from lomar_cli.scoring.auto.direction import direction, projection
from lomar_cli.scoring.auto.distances import far, mean, near
from lomar_cli.scoring.auto.mix import mix
from lomar_cli.scoring.auto.signs import signs

# name: (view, its side in words)
VIEWS: dict[str, tuple[View, str]] = {
    "near": (near, "tighter than its own neighbourhood"),
    "far": (far, "in a thinner region than others"),
    "mean": (mean, "in a thinner region than others"),
    "direction": (direction, "points against the round"),
    "projection": (projection, "pulls against the round"),
    "signs": (signs, "signs unlike the others'"),
    "mix": (mix, "labels do not fit the samples"),
}
