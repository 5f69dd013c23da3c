"""Options that may be given relative to the round: ``0.5n`` neighbours, a length of ``2x``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import UsageError


@dataclass(frozen=True)
class Neighbors:
    """``value`` neighbours, or with ``share`` that share of the clients."""

    value: float
    share: bool

    @classmethod
    def parse(cls, text: str) -> Neighbors:
        """Read ``"50"`` or ``"0.5n"``."""
        value, share = relative(text, "n")
        good = 0 < value <= 1 if share else value >= 1 and value == int(value)
        if not good:
            raise UsageError(
                f"--neighbors {text}: must be a whole number from 1 (50) "
                "or a share of the clients up to 1n (0.5n)"
            )
        return cls(value, share)

    def count(self, clients: int) -> int:
        """The number of neighbours among ``clients`` clients: in [1, clients - 1]."""
        # Not below a whole number that the share is meant to be: 0.29 * 100 is 28.999999999999996.
        wanted = math.floor(self.value * clients + 1e-9) if self.share else int(self.value)
        return max(1, min(wanted, clients - 1))


@dataclass(frozen=True)
class Bandwidth:
    """An absolute bandwidth, or with ``relative`` a multiple of a block's median distance."""

    value: float
    relative: bool

    @classmethod
    def parse(cls, text: str) -> Bandwidth:
        """Read ``"0.02"`` or ``"0.1x"``."""
        value, times = relative(text, "x")
        if not (value >= 1e-300 and math.isfinite(value)):
            raise UsageError(
                f"--bandwidth {text}: must be a number above 0 (0.02) or a multiple of the median "
                "neighbour distance of each label (0.1x)"
            )
        return cls(value, times)


@dataclass(frozen=True)
class Bound:
    """A length: ``value``, or with ``relative`` that many times the median length of a round."""

    value: float
    relative: bool

    @classmethod
    def parse(cls, text: str, option: str) -> Bound:
        """Read ``"2.5"`` or ``"1x"``; ``option`` is its name, as ``--set`` takes it."""
        value, times = relative(text, "x")
        if not (value > 0 and math.isfinite(value)):
            raise UsageError(
                f"--set {option}={text}: must be a length above 0 (2.5) or a multiple of the "
                "median length (1x)"
            )
        return cls(value, times)

    def among(self, lengths: NDArray[np.float64]) -> float:
        """The bound for these lengths."""
        return self.value * float(np.median(lengths)) if self.relative else self.value


def relative(text: str, unit: str) -> tuple[float, bool]:
    """The number in ``text``, NaN when it is none, and whether ``unit`` follows it."""
    has = text.endswith(unit)
    try:
        return float(text.removesuffix(unit)), has
    except ValueError:
        return math.nan, has
