"""What client files hold: trained parameters, updates, or gradients; and the updates in them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
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
        if self.kept or self._stays(name, buffers):
            return sent
        return np.result_type(sent, np.float32)

    def types(self, sent: Mapping[str, str], buffers: Collection[str]) -> dict[str, str]:
        """What of the types that clients sent is the round's own."""
        return {
            name: kind for name, kind in sent.items() if self.kept or self._stays(name, buffers)
        }

    def _stays(self, name: str, buffers: Collection[str]) -> bool:
        """Counters and running statistics are no gradients: no step moves the model's own."""
        return self.gradients is not None and name in buffers

    def updates(
        self, arrays: Arrays, base: Arrays | None, head: RoundHead
    ) -> dict[str, NDArray[Any]]:
        """A client's updates by parameter, in the round's types."""
        return {name: self._update(name, arrays, base, head) for name in head.shapes}

    def _update(
        self, name: str, arrays: Arrays, base: Arrays | None, head: RoundHead
    ) -> NDArray[Any]:
        sent, dtype = arrays[name], head.dtypes[name]
        if self.kept:
            return sent
        if self._stays(name, head.buffers):
            return np.zeros_like(sent)
        moved: NDArray[Any] = sent.astype(dtype)
        with np.errstate(all="ignore"):
            if base is not None:
                moved -= base[name].astype(dtype)
            elif self.gradients is not None:
                moved *= dtype.type(-self.gradients)
        return moved


def check_gradients(gradients: float | None) -> None:
    """UsageError for a learning rate that is none."""
    if gradients is None:
        return
    # As the updates' type holds it: below 1e-45 it would be 0, and beyond 3e38 infinite.
    with np.errstate(all="ignore"):
        held = float(np.float32(gradients))
    if not (held > 0 and math.isfinite(held)):
        raise UsageError(f"--gradients {gradients:g}: must be a number above 0, the learning rate")
