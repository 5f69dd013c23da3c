"""Squared distances on a torch device: the numbers of ``scoring.distances`` but for rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.learning.schedule import check_device
from lomar_cli.scoring.distances import (
    COLUMNS,
    Floats,
    MakeAdder,
    add_recentred,
    is_ordinary,
    tolerance,
)


def on_device(device: str) -> MakeAdder:
    """What makes adders on ``device``; one line of error without torch or without the device."""
    check_device(device)
    return lambda count, jobs: DeviceSquares(device, count, jobs)


class DeviceSquares:
    """As ``SquareSum``: the sum (n, n) stays on the device, blocks of columns are sent there.

    Pairs that lost their digits are multiplied again on the processor, as few as there are.
    """

    def __init__(self, device: str, count: int, jobs: int = 1) -> None:
        import torch

        self._torch, self._device, self._jobs = torch, device, jobs
        self._total = torch.zeros((count, count), dtype=torch.float64, device=device)

    def add(self, x: Floats, magnitude: Floats | None = None) -> None:
        torch = self._torch
        # A copy: the block that it comes from is used again while the device still works.
        whole = torch.tensor(np.ascontiguousarray(x), device=self._device)
        ordinary = torch.tensor(np.flatnonzero(is_ordinary(x, magnitude)), device=self._device)
        for block in whole.split(COLUMNS, dim=1):
            self._add(block, ordinary, tolerance(x.dtype))

    def _add(self, block: Any, ordinary: Any, limit: float) -> None:
        torch = self._torch
        block -= block.index_select(0, ordinary).double().mean(dim=0).to(block.dtype)
        # Tensor cores would round to ten bits.
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            squares = block @ block.T
        finally:
            torch.set_float32_matmul_precision(before)
        lengths = block.square().sum(dim=1, dtype=torch.float64).to(block.dtype)
        both = lengths[:, None] + lengths
        squares.mul_(-2).add_(both)
        lost = squares < both.mul_(limit)
        lost.fill_diagonal_(False)
        if bool(lost.any()):
            squares.masked_fill_(lost, 0)
            again = np.zeros(tuple(squares.shape))
            mask: NDArray[np.bool_] = lost.cpu().numpy()
            add_recentred(again, block.cpu().numpy(), mask | mask.T, self._jobs)
            self._total += torch.tensor(again, device=self._device)
        self._total += squares.clamp_(min=0)

    def finish(self) -> NDArray[np.float64]:
        # Symmetric to the last bit.
        upper = self._total.triu(1)
        found: NDArray[np.float64] = (upper + upper.T).cpu().numpy()
        return found
