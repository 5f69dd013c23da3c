"""What client files hold: trained parameters, updates, or gradients; and the updates in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import UsageError
from lomar_cli.files.importers.base import Arrays
from lomar_cli.files.round import RoundHead


@dataclass(frozen=True)
class Said:
    """Exactly one of the three: a model that trained parameters started from, that the files hold
    updates, or the ``gradients``' learning rate, by which a step takes them away."""

    base_model: Path | None = None
    differences: bool = False
    gradients: float | None = None

    def __post_init__(self) -> None:
        said = [self.base_model is not None, self.differences, self.gradients is not None]
        if sum(said) != 1:
            raise UsageError(
                "say what the files hold: --base-model FILE when they are trained parameters (the "
                "difference to FILE is taken), --differences when they are updates already, or "
                "--gradients LEARNING_RATE"
            )
        check_gradients(self.gradients)

    @property
    def kept(self) -> bool:
        """Whether numbers go into the round as they are."""
        return self.differences

    def provenance(self) -> dict[str, Any]:
        """What a round's provenance says of it."""
        found: dict[str, Any] = {"differences": self.differences}
        if self.gradients is not None:
            found["gradients"] = self.gradients
        return found

    def kind(self, name: str, sent: np.dtype[Any], buffers: Collection[str]) -> np.dtype[Any]:
        """The type of a parameter's updates.

        A difference of half-precision numbers, or a share of one, is rarely one: it is taken in
        float32.
        """
        if self.kept or (self.gradients is not None and name in buffers):
            return sent
        return np.result_type(sent, np.float32)

    def update(
        self, arrays: Arrays, base: Arrays | None, head: RoundHead
    ) -> Callable[[str], NDArray[Any]]:
        """A client's update of a parameter, by its name, in the round's type."""

        def of(name: str) -> NDArray[Any]:
            sent, dtype = arrays[name], head.dtypes[name]
            # Counters and running statistics are no gradients.
            if self.kept or (self.gradients is not None and name in head.buffers):
                return sent
            moved: NDArray[Any] = sent.astype(dtype)
            with np.errstate(all="ignore"):
                if base is not None:
                    moved -= base[name].astype(dtype)
                elif self.gradients is not None:
                    moved *= dtype.type(-self.gradients)
            return moved

        return of


def check_gradients(gradients: float | None) -> None:
    """UsageError for a learning rate that is none."""
    if gradients is not None and not (gradients > 0 and math.isfinite(gradients)):
        raise UsageError(f"--gradients {gradients:g}: must be a number above 0, the learning rate")
